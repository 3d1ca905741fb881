/* What fields of a request say about who sent it and what it belongs to; hostile until a trusted
 * proxy said them. Pure; any thread. */
#pragma once
#include "io/addr.h"

/* Is the address inside one of the prefixes? */
bool forwarded_trusts(const str_list *proxies, const union addr *a);
/* Reads an X-Forwarded-For value from its end: ret becomes the last address that is no trusted
   proxy, or the one before what is no address. False when all are trusted proxies (ret is the first
   of them then): an earlier field may go on. */
bool forwarded_client(struct str list, const str_list *proxies, union addr *ret);
/* 8 to 128 visible characters that need no escape in a log. */
bool forwarded_id_valid(struct str s);
/* W3C Trace Context: version 00 and the shape of it; anything else is not passed on. */
bool forwarded_trace_valid(struct str s);
