/* The service manager's socket (sd_notify's protocol): datagrams of KEY=VALUE lines. Main thread.
 */
#pragma once
#include "base/base.h"

/* Takes the address from NOTIFY_SOCKET; without it every call does nothing. */
void notify_open(void);
/* READY=1 and the like, with a line for people; false when the manager could not be told. */
bool notify_ready(const char *status);
bool notify_reloading(void); /* with the time it began, as Type=notify-reload asks */
bool notify_stopping(void);
void notify_close(void);
