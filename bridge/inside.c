#include "bridge/inside.h"

#include <stdio.h>

enum { START_FAILURES = 3 };

void bridge_vacated(struct bridge *bridge)
{
    pthread_mutex_lock(&bridge->lock);
    bridge->occupied--;
    pthread_cond_broadcast(&bridge->changed);
    pthread_mutex_unlock(&bridge->lock);
}

void bridge_failed(struct bridge *bridge, const char *reason)
{
    if (bridge->serving)
        pool_fail(bridge->pool, reason);
    else
        snprintf(bridge->failure, sizeof bridge->failure, "%s", reason);
}

void bridge_start_failed(struct bridge *bridge, const char *reason, const struct worker_exit *exit)
{
    char text[320];
    if (bridge->leaving || ++bridge->start_failures < START_FAILURES)
        return;
    if (reason[0])
        snprintf(text, sizeof text, "%s", reason);
    else
        snprintf(text, sizeof text, "workers end before they are ready (%s %d)", exit->cause,
                 exit->signal ? exit->signal : exit->code);
    bridge_failed(bridge, text);
}
