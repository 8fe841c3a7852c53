#include "pool/variables.h"

#include "base/mem.h"
#include "pool/session.h"

#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    const struct bytes *const *left = a, *const *right = b;
    return variable_set_compare(**left, **right);
}

/* Sorts the names. Returns one that is equal to another, or NULL. */
static const struct bytes *find_twice(const struct bytes **names, size_t count)
{
    qsort(names, count, sizeof names[0], compare_names);
    for (size_t i = 1; i < count; i++) {
        if (bytes_equal(*names[i - 1], *names[i]))
            return names[i];
    }
    return NULL;
}

/* --- readers --- */

void variables_watch(struct session *session, const struct variables_reader *reader)
{
    struct variable_set *set = &session->variables;
    struct variables_audience audience = {0};
    unsigned i = 0;
    pthread_mutex_lock(&set->lock);
    if (!set->readers)
        set->readers = mem_array(VARIABLES_READERS_MAX, sizeof *reader);
    while (i < set->reader_count && !variables_reader_is(&set->readers[i], reader))
        i++;
    if (i == VARIABLES_READERS_MAX) {
        audience = variable_set_dismiss(set, NULL);
        i = 0;
    }
    if (i == set->reader_count)
        set->readers[set->reader_count++] = *reader;
    pthread_mutex_unlock(&set->lock);
    variables_audience_tell(audience, session->number);
}

uint64_t variables_revision(struct session *session)
{
    struct variable_set *set = &session->variables;
    pthread_mutex_lock(&set->lock);
    uint64_t revision = set->revision;
    pthread_mutex_unlock(&set->lock);
    return revision;
}

/* --- writing --- */

static const struct {
    const char *code, *detail;
} verdicts[] = {
    [VARIABLES_INVALID] = {"invalid_variable", NULL},
    [VARIABLES_CONFLICT] = {"version_conflict", "the variable has another version"},
    [VARIABLES_UNKNOWN] = {"variable_not_found", "the session has no variable of that name"},
    [VARIABLES_LARGE] = {"variable_too_large", "the value is larger than one may be"},
    [VARIABLES_MANY] = {"session_quota_exceeded",
                        "the session would have more variables than it may"},
    [VARIABLES_FULL] = {"session_quota_exceeded",
                        "the session's variables would be larger than they may"},
    [VARIABLES_MEMORY] = {"session_quota_exceeded", "the sessions keep as much as they may"},
    [VARIABLES_ENDED] = {"session_not_found", "the session has ended"},
};

const char *variables_code(enum variables_verdict verdict)
{
    return verdicts[verdict].code;
}

const char *variables_detail(const struct variables_refusal *refusal)
{
    return refusal->verdict == VARIABLES_INVALID ? refusal->fault.detail
                                                 : verdicts[refusal->verdict].detail;
}

/* What a batch comes to. */
struct change {
    const struct variable_write *writes;
    size_t count;
    struct variable **next; /* owned; NULL: removed, or not made yet */
    size_t added, removed;  /* bytes */
    size_t more, fewer;     /* variables */
    struct variables_refusal *refusal;
};

static bool refuse(struct change *change, size_t index, enum variables_verdict verdict,
                   uint64_t number)
{
    change->refusal->verdict = verdict;
    change->refusal->index = index;
    change->refusal->version = change->refusal->limit = number;
    return false;
}

static bool make(struct change *change, size_t index, const struct variable *old,
                 const struct variable_set *set, const struct variables_limits *limits)
{
    const struct variable_write *write = &change->writes[index];
    uint64_t version = 1 + (old ? old->version : set->highest_removed);
    if (write->value.len + write->constraints.len > limits->value_size)
        return refuse(change, index, VARIABLES_LARGE, limits->value_size);
    struct variable *next = variable_new(write, old, version, &change->refusal->fault);
    change->next[index] = next;
    if (!next)
        return refuse(change, index, VARIABLES_INVALID, 0);
    if (next->value.len + next->constraints.len > limits->value_size)
        return refuse(change, index, VARIABLES_LARGE, limits->value_size);
    change->added += variable_size(next);
    return true;
}

static bool prepare(struct change *change, size_t index, const struct variable_set *set,
                    const struct variables_limits *limits)
{
    const struct variable_write *write = &change->writes[index];
    const struct variable *old = variable_set_find(set, write->name);
    uint64_t version = old ? old->version : 0;
    if (write->expects && write->expected_version != version)
        return refuse(change, index, VARIABLES_CONFLICT, version);
    if (write->remove && !old)
        return refuse(change, index, VARIABLES_UNKNOWN, 0);
    change->removed += old ? variable_size(old) : 0;
    change->fewer += write->remove;
    change->more += !old;
    return write->remove || make(change, index, old, set, limits);
}

static bool prepare_all(struct change *change, struct session *session,
                        const struct variables_limits *limits)
{
    const struct variable_set *set = &session->variables;
    for (size_t i = 0; i < change->count; i++) {
        if (!prepare(change, i, set, limits))
            return false;
    }
    if (set->count + change->more - change->fewer > limits->count)
        return refuse(change, 0, VARIABLES_MANY, limits->count);
    if (set->size + change->added - change->removed > limits->size)
        return refuse(change, 0, VARIABLES_FULL, limits->size);
    switch (session_charge(session, change->removed, change->added)) {
    case SESSION_CHARGED:
        return true;
    case SESSION_TOO_MUCH:
        return refuse(change, 0, VARIABLES_MEMORY, 0);
    case SESSION_ENDED:
        break;
    }
    return refuse(change, 0, VARIABLES_ENDED, 0);
}

static void copy(const struct variable *variable, struct arena *arena,
                 struct variable *out_variable)
{
    *out_variable = *variable;
    out_variable->name = arena_copy(arena, variable->name);
    out_variable->value = arena_copy(arena, variable->value);
    out_variable->constraints = arena_copy(arena, variable->constraints);
}

/* What has become of one of the writes; `next` is NULL where it was removed. */
static struct variable outcome(const struct variable_write *write, const struct variable *next,
                               struct arena *memory)
{
    struct variable variable = {.name = write->name};
    if (next && memory)
        copy(next, memory, &variable);
    else if (next)
        variable.version = next->version;
    return variable;
}

static void apply(struct change *change, struct variable_set *set,
                  struct variables_written *written)
{
    for (size_t i = 0; i < change->count; i++) {
        const struct variable_write *write = &change->writes[i];
        written->variables[i] = outcome(write, change->next[i], written->memory);
        variable_set_put(set, write->name, change->next[i]);
    }
    set->size += change->added - change->removed;
    written->revision = ++set->revision;
}

/* No two may be of the same name. */
static bool check_names(struct change *change)
{
    const struct bytes **names = mem_array(change->count, sizeof(void *));
    for (size_t i = 0; i < change->count; i++)
        names[i] = &change->writes[i].name;
    const struct bytes *twice = find_twice(names, change->count);
    free(names);
    if (!twice)
        return true;
    variable_fault(&change->refusal->fault, "name", "is written twice");
    size_t offset = (size_t)((const char *)twice - (const char *)&change->writes[0].name);
    return refuse(change, offset / sizeof change->writes[0], VARIABLES_INVALID, 0);
}

bool variables_write(struct session *session, const struct variable_write *writes, size_t count,
                     const struct variables_reader *by, struct variables_written *out_written,
                     struct variables_refusal *out_refusal)
{
    const struct variables_limits *limits = session_limits(session);
    struct variable_set *set = &session->variables;
    struct change change = {.writes = writes, .count = count, .refusal = out_refusal};
    out_written->revision = 0;
    if (count > 2 * (size_t)limits->count) /* more than can be set and removed */
        return refuse(&change, 0, VARIABLES_MANY, limits->count);
    if (count == 0 || !check_names(&change))
        return count == 0;
    change.next = mem_array(count, sizeof(struct variable *));
    pthread_mutex_lock(&set->lock);
    bool good = prepare_all(&change, session, limits);
    if (good)
        apply(&change, set, out_written);
    struct variables_audience audience =
        good ? variable_set_dismiss(set, by) : (struct variables_audience){0};
    pthread_mutex_unlock(&set->lock);
    variables_audience_tell(audience, session->number);
    for (size_t i = 0; !good && i < count; i++)
        free(change.next[i]);
    free(change.next);
    return good;
}

/* --- reading --- */

bool variables_read(struct session *session, const struct bytes *names, size_t count,
                    struct arena *arena, struct variable *out_variables)
{
    struct variable_set *set = &session->variables;
    const struct bytes **sorted = mem_array(count, sizeof(void *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &names[i];
    bool good = !find_twice(sorted, count);
    free(sorted);
    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; good && i < count; i++) {
        const struct variable *variable = variable_set_find(set, names[i]);
        out_variables[i] = (struct variable){0};
        if (variable)
            copy(variable, arena, &out_variables[i]);
    }
    pthread_mutex_unlock(&set->lock);
    return good;
}

struct variable *variables_list(struct session *session, struct arena *arena, size_t *out_count)
{
    struct variable_set *set = &session->variables;
    pthread_mutex_lock(&set->lock);
    struct variable *list = arena_alloc(arena, set->count * sizeof *list);
    for (unsigned i = 0; i < set->count; i++)
        copy(set->sorted[i], arena, &list[i]);
    *out_count = set->count;
    pthread_mutex_unlock(&set->lock);
    return list;
}
