/* Regular expressions. What a match may cost is limited: a bad pattern on a bad string must not
 * stop a reactor. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/schema_inside.h"

#include <stdio.h>
#include <stdlib.h>

/* Steps of one match, some milliseconds; and KiB for what may have to be tried again. Since pcre2
 * does not say how many steps a match has taken, all that there are in a check are limited by their
 * time. */
enum { MATCH_STEPS = 200000, MATCH_KIB = 16384 };

/* The limits are shared by the threads that match, which only read them. */
static void make_limits(struct schema *schema)
{
    if (schema->limits)
        return;
    schema->limits = pcre2_match_context_create(NULL);
    if (!schema->limits)
        abort();
    pcre2_set_match_limit(schema->limits, MATCH_STEPS);
    pcre2_set_heap_limit(schema->limits, MATCH_KIB);
}

/* As ECMA-262 has it: $ only at the very end, \uXXXX, a group that is not set matches nothing, \d
 * and \w are ASCII. */
static pcre2_code *compile(struct bytes source, int *out_error, size_t *out_offset)
{
    const uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
                             PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_ALLOW_EMPTY_CLASS;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        abort();
    pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)source.data, source.len, options, out_error, out_offset, context);
    pcre2_compile_context_free(context);
    return code;
}

struct pattern *schema_pattern_compile(struct schema *schema, struct bytes source,
                                       char out_reason[SCHEMA_SHOWN_BYTES])
{
    int error = 0;
    size_t offset = 0;
    pcre2_code *code = compile(source, &error, &offset);
    if (!code) {
        PCRE2_UCHAR message[64] = "";
        pcre2_get_error_message(error, message, sizeof message);
        (void)snprintf(out_reason, SCHEMA_SHOWN_BYTES, "%s at byte %zu", (const char *)message,
                       offset);
        return NULL;
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where there is none, it is interpreted */
    make_limits(schema);
    struct pattern *pattern = arena_zalloc(schema->arena, sizeof *pattern);
    *pattern = (struct pattern){.next = schema->patterns, .source = source, .code = code};
    schema->patterns = pattern;
    return pattern;
}

/* The compiled form has a small stack of its own; what it is too small for is interpreted. */
static enum pattern_verdict match_text(const struct schema *schema, const struct pattern *pattern,
                                       struct bytes text, pcre2_match_data *match)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.len ? text.data : "");
    int found =
        pcre2_match(pattern->code, subject, text.len, 0, PCRE2_NO_UTF_CHECK, match, schema->limits);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(pattern->code, subject, text.len, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                            match, schema->limits);
    if (found >= 0)
        return PATTERN_MATCHES;
    return found == PCRE2_ERROR_NOMATCH ? PATTERN_DIFFERS : PATTERN_TOO_COSTLY;
}

static void prepare(struct matcher *matcher)
{
    matcher->data = pcre2_match_data_create(1, NULL);
    if (!matcher->data)
        abort();
    matcher->used_us = clock_processor_us();
    matcher->due_us = clock_now_us() + matcher->allowed_us;
}

/* The clock goes on while others have the processor, but reading it costs less. */
static bool is_overdue(struct matcher *matcher)
{
    uint64_t now_us = clock_now_us();
    if (now_us < matcher->due_us)
        return false;
    uint64_t used_us = clock_processor_us() - matcher->used_us;
    if (used_us >= matcher->allowed_us)
        return true;
    matcher->due_us = now_us + matcher->allowed_us - used_us;
    return false;
}

enum pattern_verdict schema_pattern_match(const struct schema *schema,
                                          const struct pattern *pattern, struct bytes inside,
                                          struct matcher *matcher)
{
    if (!matcher->data)
        prepare(matcher);
    else if (is_overdue(matcher))
        return PATTERN_TOO_COSTLY;
    if (inside.len == 0 || !memchr(inside.data, '\\', inside.len))
        return match_text(schema, pattern, inside, matcher->data);
    struct arena *arena = arena_new(inside.len);
    enum pattern_verdict verdict =
        match_text(schema, pattern, json_text(inside, arena), matcher->data);
    arena_unref(&arena);
    return verdict;
}
