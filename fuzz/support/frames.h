/* HTTP/2 frames made of a fuzzer's bytes, so that it need not find out how frames are made. */
#pragma once
#include "user.h"

/* One frame of the script, good or bad, sent by the peer. */
void frames_send(struct user *u, struct script *s, bool server);
void frames_settings(struct user *u);
