/* One run of the schema checker, and its checks of values that hold no others. */
#ifndef SNAKEPIT_BASE_SCHEMA_RUN_H
#define SNAKEPIT_BASE_SCHEMA_RUN_H

#include "base/schema_inside.h"

/* Lives while one value is checked, on the stack of the thread that does it. */
struct run {
    const struct schema *schema;
    const char *end; /* of the text */
    uint64_t work;   /* that may still be done; 0: all that follows is refused */
    unsigned quiet;  /* above 0: an alternative is tried, faults are not told */
    bool tagged;     /* there may be tags in the text */
    struct schema_faults *faults;
    struct matcher matcher;
};

/* True when nobody wants to know more faults: the caller may return at once. */
static inline bool run_stops(const struct run *run)
{
    return run->quiet || run->work == 0 || run->faults->more;
}

/* Takes `work` off what is left; false when that is not enough. */
static inline bool run_spend(struct run *run, uint64_t work)
{
    run->work = run->work > work ? run->work - work : 0;
    return run->work > 0;
}

/* Tells a fault, unless quiet. Returns false. */
#define RUN_FAULT(run, place, keyword, ...)                                                        \
    ((run)->quiet ? false : schema_fault_add((run)->faults, place, keyword, __VA_ARGS__))

/* The value that begins at `at`; its length is work. */
static inline struct json_value run_value(struct run *run, const char *at)
{
    struct json_value value = json_value_at(at, run->end);
    (void)run_spend(run, value.raw.len / 32);
    return value;
}

/* The checks of scalars by their rules. */
bool schema_check_number(struct run *run, const struct number_rules *rules,
                         const struct place *place, struct bytes raw);
bool schema_check_string(struct run *run, const struct string_rules *rules,
                         const struct place *place, struct bytes inside);

/* Whether the value is one of these. Where the work does not suffice to tell, false, with none
 * left. */
bool schema_choices_have(struct run *run, const struct value_list *list, struct json_value value);

/* The same for the bytes that base64 is of; their length is what they are held to. */
bool schema_check_base64(struct run *run, const struct string_rules *rules,
                         const struct place *place, struct bytes inside);

/* The same for what is above every number (`order` 1), below (-1), or none of them (0). */
bool schema_check_unbounded(struct run *run, const struct number_rules *rules,
                            const struct place *place, const char *name, int order);

/* What a tag stands for; complex is nothing that a schema has a type for. */
enum stands_for { TAG_TEXT, TAG_BYTES, TAG_ELEMENTS, TAG_PAIRS, TAG_NUMBER, TAG_COMPLEX };

struct tag_kind {
    const char *name;
    enum stands_for stands_for;
    unsigned char format;        /* that a string must have for it, as a bit; 0: none */
    unsigned char member, other; /* where its content is, or else is */
    signed char order;           /* of a number: see schema_check_unbounded() */
};

/* An object that stands for a value that JSON lacks. */
struct tag {
    const struct tag_kind *kind; /* NULL: it is not well formed */
    const char *name;            /* as which it goes */
    unsigned types;              /* that it may be taken for */
    struct json_value content;
    struct bytes member; /* the content's name, as it is in the text */
};

/* Reads the tag that the value at `at` is. False: it is none, as the whole text never is. */
bool schema_tag_read(struct run *run, const struct place *place, const char *at,
                     struct tag *out_tag);

/* What a tag is to an enum: its content, or the `object` itself where JSON has nothing for it. */
struct json_value schema_tag_value(const struct tag *tag, struct json_value object);

#endif
