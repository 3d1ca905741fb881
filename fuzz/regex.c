/* Regular expressions: any pattern compiles or says why, any match ends. Input: a pattern, LF, a
 * subject. */
#include "codec/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = { (const char *)data, size };
    size_t n = str_find(all, '\n'), at;
    struct str pattern = str_sub(all, 0, n), subject = str_sub(all, n + 1, size);
    char err[96];
    if (size > 600) /* long patterns only make it slow */
        return 0;
    struct regex *r = regex_new(pattern, err, sizeof(err), &at);
    CHECK(r ? err[0] == '\0' : err[0] != '\0' && at <= pattern.n);
    if (r) {
        (void)regex_match(r, subject);
        (void)regex_match(r, STR(""));
    }
    regex_free(r);
    return 0;
}
