/* What the files of src/model share. */
#pragma once
#include "model/model.h"

/* The document with ${NAME} replaced in every scalar ("$${" is a literal "${"); shares what has none. Clears *ret_ok on an error. */
const struct node *variables_replace(const struct node *doc, const struct model_input *in, struct arena *a, struct errors *e, bool *ret_ok);
/* Every field with F_REF names an object that exists. All errors at once, with the nearest name. */
bool references_check(const struct model *m, struct errors *e);
