/* Shows collected errors to a person. */
#pragma once
#include "base/error.h"

/* One line an error: "file:line:col: path: message"; fancy adds the source line with a caret, and
   colours unless NO_COLOR is set. Ends with a summary when there is more than one. What documents
   contain cannot move the cursor. */
void render_errors(const struct errors *e, int fd, bool fancy);
