#include "consumers/worker.h"

int main(int argc, char **argv)
{
    return ferry_worker_main(&ferry_slack_channel, "Slack notifications from events in Kafka", argc, argv);
}
