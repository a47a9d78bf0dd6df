#include "consumers/worker.h"

int main(int argc, char **argv)
{
    return ferry_worker_main(&ferry_mail_channel, "mails from events in Kafka", argc, argv);
}
