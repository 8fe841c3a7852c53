#include "server/tool_calls/switchboard.h"

#include "base/mem.h"
#include "bridge/bridge.h"
#include "server/requests/gateway.h"

#include <stdlib.h>

static void open_answers(void *context)
{
    struct mail *mail = mailbox_drain(context);
    while (mail) {
        struct mail *next = mail->next;
        mail->open(mail);
        mail = next;
    }
}

struct switchboard *switchboard_new(struct gateway *gateway,
                                    const struct switchboard_options *options)
{
    struct switchboard *switchboard = MEM_NEW(struct switchboard);
    switchboard->gateway = gateway;
    switchboard->options = *options;
    mailbox_init(&switchboard->answers, open_answers, &switchboard->answers);
    return switchboard;
}

void switchboard_free(struct switchboard **switchboard)
{
    free(*switchboard);
    *switchboard = NULL;
}

uint64_t switchboard_count(const struct switchboard *switchboard, enum switchboard_end end)
{
    return atomic_load_explicit(&switchboard->ends[end], memory_order_relaxed);
}

void switchboard_reply(struct switchboard *switchboard, struct pool *pool, struct worker_ref worker,
                       const struct tool_reply *reply, enum switchboard_end end)
{
    bridge_reply(gateway_bridge_of(switchboard->gateway, pool), worker, reply);
    atomic_fetch_add_explicit(&switchboard->ends[end], 1, memory_order_relaxed);
}
