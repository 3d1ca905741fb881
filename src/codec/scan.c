/* The table of byte classes; see scan.h. */
#include "codec/scan.h"

#define T SCAN_TOKEN
#define P SCAN_PATH
#define A (SCAN_TOKEN | SCAN_PATH | SCAN_UNRESERVED | SCAN_LABEL)
#define X (A | SCAN_HEX)

/* SCAN_PATH is RFC 3986 pchar and '/', plus the four bytes that browsers send unencoded although
   the RFC wants them encoded: '[' ']' '^' '|'. No parser gives those a meaning in a path. */
const uint8_t scan_class[256] = {
    ['\t'] = SCAN_OWS,
    [' '] = SCAN_OWS,
    ['!'] = T | P,
    ['#'] = T,
    ['$'] = T | P,
    ['%'] = T,
    ['&'] = T | P,
    ['\''] = T | P,
    ['('] = P,
    [')'] = P,
    ['*'] = T | P,
    ['+'] = T | P,
    [','] = P,
    ['-'] = A,
    ['.'] = SCAN_TOKEN | SCAN_UNRESERVED,
    ['/'] = P,
    ['0' ... '9'] = X,
    [':'] = P,
    [';'] = P,
    ['='] = P,
    ['@'] = P,
    ['A' ... 'F'] = X,
    ['G' ... 'Z'] = A,
    ['['] = P,
    [']'] = P,
    ['^'] = T | P,
    ['_'] = A,
    ['`'] = T,
    ['a' ... 'f'] = X,
    ['g' ... 'z'] = A,
    ['|'] = T | P,
    ['~'] = SCAN_TOKEN | SCAN_PATH | SCAN_UNRESERVED,
};
