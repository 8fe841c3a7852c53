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

/* True when `object` is tagged as a value of one of these types. */
bool schema_stands_for(struct run *run, unsigned types, struct bytes object);

#endif
