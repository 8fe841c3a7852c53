/* A configuration file: what is refused has a reason in one line; what is accepted is written and
 * read back as the same. */
#include "fuzz.h"
#include "server/config/config.h"

#include <string.h>

static bool read_config(struct config *config, struct bytes text, struct config_fault *fault)
{
    config_init(config);
    *fault = (struct config_fault){0};
    if (!config_read(config, text, fault))
        return false;
    if (config->pool_count == 0)
        config_add_pool(config);
    return config_finish(config, fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = malloc(sizeof *config), *again = malloc(sizeof *again);
    struct config_fault fault;
    fuzz_require(config && again, "there is memory");
    config_init(again);
    if (!read_config(config, bytes_from(data, size), &fault)) {
        fuzz_require(fault.text[0] && !strchr(fault.text, '\n'), "a fault is one line");
    } else {
        struct buffer first = {0}, second = {0};
        config_write(config, &first);
        config_deinit(again);
        fuzz_require(read_config(again, buffer_bytes(&first), &fault), "what is written is read");
        config_write(again, &second);
        fuzz_require(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)), "it is the same");
        buffer_deinit(&first);
        buffer_deinit(&second);
    }
    config_deinit(config);
    config_deinit(again);
    free(config);
    free(again);
    return 0;
}
