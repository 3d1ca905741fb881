/* The core sections as a set, for the parsers of policy resources. */
#pragma once
#include "snapshot/sections.h"

enum core_section {
    CORE_TIMEOUT,
    CORE_RETRY,
    CORE_BREAKER,
    CORE_BALANCE,
    CORE_HEALTH,
    CORE_LIMITS,
    CORE_TRUST,
    CORE_SECTIONS
};
extern const char *const core_section_key[CORE_SECTIONS];
/* Which core section the row is, or CORE_SECTIONS for a filter's. */
enum core_section section_core(const struct registry_row *row);
/* All defaults, made by sections_register; they live until the process ends. */
const void *section_defaults(enum core_section c);
