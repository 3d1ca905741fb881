/* See ws_accept.h. SHA-1 is what the RFC says; nothing is protected by it. */
#include "crypto/ws_accept.h"
#include <openssl/evp.h>

bool ws_accept(struct str key, char out[28])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char sha[EVP_MAX_MD_SIZE], text[32];
    char in[128];
    unsigned n = 0;
    if (key.n + sizeof(guid) > sizeof(in))
        return false;
    memcpy(in, key.p, key.n);
    memcpy(in + key.n, guid, sizeof(guid) - 1);
    if (EVP_Digest(in, key.n + sizeof(guid) - 1, sha, &n, EVP_sha1(), NULL) != 1 || n != 20)
        return false;
    EVP_EncodeBlock(text, sha, 20);
    memcpy(out, text, 28);
    return true;
}
