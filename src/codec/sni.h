/* The server name in a TLS ClientHello (RFC 6066 section 3), for routing TLS that is not ended
 * here. Pure; bytes are hostile. */
#pragma once
#include "base/base.h"

enum { SNI_HELLO_MAX = 16 * 1024 + 512, SNI_NAME_MAX = 255 };
enum sni_result {
    SNI_MORE,  /* not complete yet: call again with more bytes from the same start */
    SNI_FOUND, /* ret_name is set, in lower case */
    SNI_NONE,  /* a ClientHello without a server name */
    SNI_BAD,   /* not a ClientHello, malformed, or longer than SNI_HELLO_MAX */
};
/* name is the caller's memory; ret_n its length. */
enum sni_result sni_parse(const char *p, size_t n, char name[SNI_NAME_MAX + 1], size_t *ret_n);
