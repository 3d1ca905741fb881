/* The handshake of WebSocket (RFC 6455 section 4.2.2). Pure. */
#pragma once
#include "base/base.h"

/* Base64 of SHA-1 over the key and the protocol's constant: 28 characters, no NUL. False when the
 * key is too long. */
bool ws_accept(struct str key, char out[28]);
