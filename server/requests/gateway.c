#include "server/requests/gateway.h"

struct pool *gateway_find_pool(const struct gateway *gateway, struct bytes name)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        if (bytes_equal(bytes_of(pool_name(gateway->pools[i])), name))
            return gateway->pools[i];
    }
    return NULL;
}

struct bridge *gateway_bridge_of(const struct gateway *gateway, const struct pool *pool)
{
    unsigned i = 0;
    while (gateway->pools[i] != pool)
        i++;
    return gateway->bridges[i];
}

static unsigned index_of(const struct gateway *gateway, const struct reactor *reactor)
{
    unsigned i = 0;
    while (gateway->reactors[i] != reactor)
        i++;
    return i;
}

struct list *gateway_streams_of(struct gateway *gateway, const struct reactor *reactor)
{
    return &gateway->open_streams[index_of(gateway, reactor)];
}

struct list *gateway_deferrals_of(struct gateway *gateway, const struct reactor *reactor)
{
    return &gateway->deferrals[index_of(gateway, reactor)];
}
