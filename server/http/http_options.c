#include "server/http/http_options.h"

struct http_options http_options_default(void)
{
    return (struct http_options){
        .connection_limit = 10000,
        .memory_limit = 512 << 20,
        .body_limit = 64 << 20,
        .head_limit = 32 << 10,
        .url_limit = 8 << 10,
        .head_timeout_ms = 10000,
        .first_byte_timeout_ms = 10000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 75000,
        .h1_memory = 40 << 10,
        .h2_streams = 100,
        .h2_stream_window = 256 << 10,
        .h2_connection_window = 1 << 20,
    };
}
