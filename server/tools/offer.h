/* A tool that a caller brings: it runs where the caller is. */
#ifndef SNAKEPIT_SERVER_TOOLS_OFFER_H
#define SNAKEPIT_SERVER_TOOLS_OFFER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/schema.h"
#include "server/requests/members.h"

#include <stdbool.h>

enum { OFFERS_MAX = 64, OFFER_DESCRIPTION_MAX = 4096 };

struct offer {
    struct bytes name;
    struct bytes description;
    struct bytes schema_text; /* a JSON object */
    struct schema *schema;    /* owned */
    struct bytes problems;    /* what of it cannot be checked, a JSON array; empty: nothing */
    struct bytes callback;    /* where it runs, a JSON object; empty: with the caller of a stream */
};

/* Several, constant once they were read. */
struct offers {
    const char *member; /* of the body, whose array they are; NULL: one, which is the body */
    size_t count;
    struct offer list[OFFERS_MAX];
};

/* Reads a JSON array of {"name", "description"?, "schema"?}, at most OFFERS_MAX, and with
 * `callbacks` also a "callback"; its texts lie in `arena` or in `array`, and `out_offers` in
 * `arena`. False, and how it is wrong, with nothing to be freed: `member` is its name in the body.
 */
bool offers_read(struct bytes array, const char *member, bool callbacks, struct arena *arena,
                 struct offers **out_offers, struct member_fault *out_fault);

/* The same for one that has a "callback" and is no element of an array: `object` is as it came. */
bool offers_read_single(struct bytes object, struct arena *arena, struct offers **out_offers,
                        struct member_fault *out_fault);

/* The fault is of that one of them, and says where in there: now it says where in the body. Returns
 * false. */
bool offers_fault(const struct offers *offers, size_t index, struct arena *arena,
                  struct member_fault *fault);

/* Frees the schemas; the rest is the arena's. Clears the pointer, accepts NULL inside. */
void offers_free(struct offers **offers);

/* Adds ,"schema_problems":{name: its problems, …} of those that have some, if there are any. */
void offers_write_problems(const struct offers *offers, struct buffer *out_text);

/* The one of that name, or NULL. */
const struct offer *offers_find(const struct offers *offers, struct bytes name);

#endif
