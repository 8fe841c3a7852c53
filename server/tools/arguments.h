/* The arguments of a call, held against the tool's schema before anything of the call is made. */
#ifndef SNAKEPIT_SERVER_TOOLS_ARGUMENTS_H
#define SNAKEPIT_SERVER_TOOLS_ARGUMENTS_H

#include "base/schema.h"
#include "server/http/exchange.h"

/* True when the JSON arguments fit `schema`, that of the tool; NULL: any fit. False: the exchange
 * has been answered, with pointers into its body, where `prefix` leads to the arguments. `pool`: of
 * the tool, or NULL. */
bool arguments_fit(struct exchange *exchange, const struct schema *schema, struct bytes tool,
                   const char *pool, struct bytes args, const char *prefix)
    __attribute__((warn_unused_result));

/* The first fault in a sentence; `prefix` goes before its pointer. In the arena. */
const char *arguments_sentence(struct arena *arena, const char *prefix,
                               const struct schema_faults *faults);

/* All of them as JSON: [{"pointer":…,"detail":…}]. In the arena. */
struct bytes arguments_errors(struct arena *arena, const char *prefix,
                              const struct schema_faults *faults);

#endif
