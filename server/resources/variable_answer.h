/* What /sessions/{id}/variables answers. */
#ifndef SNAKEPIT_SERVER_RESOURCES_VARIABLE_ANSWER_H
#define SNAKEPIT_SERVER_RESOURCES_VARIABLE_ANSWER_H

#include "base/buffer.h"
#include "server/http/exchange.h"
#include "server/resources/variable_request.h"

/* The etag of a variable of that version, in the exchange's arena. */
struct bytes variable_etag(struct exchange *exchange, uint64_t version);

/* Answers with a variable and its etag. */
void variable_respond(struct exchange *exchange, unsigned status, const struct variable *variable);

/* Answers with several; a version of 0 is none. `names`: those that were asked for, in the same
 * order, or NULL for all there are. */
void variable_respond_several(struct exchange *exchange, const struct variable *variables,
                              const struct bytes *names, size_t count);

/* Answers with the versions of what the batch has written, of which 0 is none; `errors`: of one
 * that is not atomic, JSON without its brackets. */
void variable_respond_versions(struct exchange *exchange, const struct variable *written,
                               const struct variable_batch *batch, struct bytes errors);

/* Adds the member "variable"; null when the name is too long to be one. */
void variable_add_name(struct buffer *members, struct bytes name);

/* Answers that there is no variable of that name. */
void variable_refuse_unknown(struct exchange *exchange, struct bytes name);

/* Answers that a write was refused. `pointer`: to what is wrong in the body; NULL: nothing.
 * `status`: 0 for that of the verdict. */
void variable_refuse(struct exchange *exchange, const struct variables_refusal *refusal,
                     struct bytes name, const char *pointer, unsigned status);

#endif
