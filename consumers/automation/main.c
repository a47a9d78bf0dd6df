#include "consumers/worker.h"

int main(int argc, char **argv)
{
    return ferry_worker_main(&ferry_automation_channel, "Qlik automations and HTTP calls from events in Kafka", argc,
                             argv);
}
