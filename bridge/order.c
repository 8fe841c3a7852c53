#include "bridge/order.h"

#include "base/mem.h"

#include <stdlib.h>

struct letter {
    struct errand errand; /* first */
    struct bridge *bridge;
    void (*run)(struct bridge *bridge, const struct order *order);
    struct order order;
};

static void carry_out(struct errand *errand)
{
    struct letter *letter = (struct letter *)(void *)errand;
    letter->run(letter->bridge, &letter->order);
    free(letter);
}

void order_send(struct bridge *bridge,
                void (*run)(struct bridge *bridge, const struct order *order), struct order order)
{
    struct letter *letter = MEM_NEW(struct letter);
    letter->errand.run = carry_out;
    letter->bridge = bridge;
    letter->run = run;
    letter->order = order;
    supervisor_send(bridge->supervisor, &letter->errand);
}
