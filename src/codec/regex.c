/* Regular expressions for routes and filters, on PCRE2. Compiled when a world is built; matching
   allocates nothing after a thread's first match and always ends: the limits bound the work,
   whatever the pattern. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "codec/regex.h"
#include "base/mem.h"
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>

enum {
    PATTERN_BYTES = 4096, /* longer ones are generated, and should be several routes */
    PAREN_DEPTH = 50,     /* bounds the recursion of the compiler */
    MATCH_STEPS =
        20000, /* stops ^(a+)+$ within some 30 us; honest path patterns take under 1,000 */
    BACKTRACK_DEPTH = 2000, /* of the interpreter, where there is no JIT */
    HEAP_KIB = 256,         /* of the interpreter */
};

struct regex {
    pcre2_code *code;
};

static void *re_alloc(size_t n, void *unused)
{
    (void)unused;
    return mem_alloc(n);
}
static void re_free(void *p, void *unused)
{
    (void)unused;
    mem_free(p);
}

/* ---- per process: the limits; per thread: the match data ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key; /* frees the match data of threads that end */
static pcre2_general_context *general;
static pcre2_match_context *limits; /* only read while matching */
static bool ready;

static void scratch_free(void *p)
{
    pcre2_match_data_free(p);
}

static void start(void)
{
    general = pcre2_general_context_create(re_alloc, re_free, NULL);
    limits = general ? pcre2_match_context_create(general) : NULL;
    if (!limits || pthread_key_create(&scratch_key, scratch_free) != 0)
        return;
    pcre2_set_match_limit(limits, MATCH_STEPS);
    pcre2_set_depth_limit(limits, BACKTRACK_DEPTH);
    pcre2_set_heap_limit(limits, HEAP_KIB);
    ready = true;
}

static pcre2_match_data *scratch(void)
{
    static _Thread_local pcre2_match_data *mine;
    if (LIKELY(mine != NULL))
        return mine;
    pcre2_match_data *md =
        pcre2_match_data_create(1, general); /* one pair: captures are not used */
    if (!md || pthread_setspecific(scratch_key, md) != 0) {
        pcre2_match_data_free(md);
        return NULL;
    }
    return mine = md;
}

/* ---- compile ---- */

static void say(char *err, size_t err_n, const char *text)
{
    if (err_n > 0)
        snprintf(err, err_n, "%s", text);
}

static pcre2_code *compile(struct str pattern, char *err, size_t err_n, size_t *ret_offset)
{
    pcre2_compile_context *cc = pcre2_compile_context_create(general);
    if (!cc) {
        say(err, err_n, "out of memory");
        return NULL;
    }
    pcre2_set_max_pattern_length(cc, PATTERN_BYTES);
    pcre2_set_parens_nest_limit(cc, PAREN_DEPTH);
    int code = 0;
    PCRE2_SIZE at = 0;
    uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_DOTALL |
                       PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
    const char *text = pattern.n ? pattern.p : "";
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)text, pattern.n, options, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (re)
        return re;
    *ret_offset = at < pattern.n ? at : pattern.n;
    if (err_n > 0 && pcre2_get_error_message(code, (PCRE2_UCHAR *)err, err_n) < 0 && code != 0)
        say(err, err_n, "invalid pattern");
    return NULL;
}

struct regex *regex_new(struct str pattern, char *err, size_t err_n, size_t *ret_offset)
{
    *ret_offset = 0;
    say(err, err_n, "");
    if (pthread_once(&once, start) != 0 || !ready) {
        say(err, err_n, "out of memory");
        return NULL;
    }
    pcre2_code *code = compile(pattern, err, err_n, ret_offset);
    if (!code)
        return NULL;
    struct regex *r = mem_alloc(sizeof(*r));
    if (!r) {
        pcre2_code_free(code);
        say(err, err_n, "out of memory");
        return NULL;
    }
    r->code = code;
    /* Where executable memory is refused the interpreter serves, under the same limits. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return r;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    mem_free(r);
}

enum regex_result regex_match(const struct regex *r, struct str subject)
{
    pcre2_match_data *md = scratch();
    if (UNLIKELY(!md))
        return REGEX_LIMIT;
    const char *text = subject.n ? subject.p : "";
    int n = pcre2_match(r->code, (PCRE2_SPTR)text, subject.n, 0, 0, md, limits);
    if (n >= 0)
        return REGEX_YES;
    return n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
}
