#include "server/http/response.h"

#include <stdlib.h>

void response_header(struct response *response, const char *name, struct bytes value)
{
    if (response->header_count == RESPONSE_MAX_HEADERS)
        abort();
    response->headers[response->header_count++] = (struct header){bytes_of(name), value};
}

void response_part(struct response *response, struct bytes part)
{
    if (response->part_count == RESPONSE_MAX_PARTS)
        abort();
    response->parts[response->part_count++] = part;
}

size_t response_size(const struct response *response)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < response->part_count; i++)
        bytes += response->parts[i].len;
    return bytes;
}
