/* SPDX-License-Identifier: BSD-2-Clause */
/* An environment that a test writes line by line, in the place of this program's own. */
#ifndef WEIR_TEST_ENVIRONMENT_H
#define WEIR_TEST_ENVIRONMENT_H

/* Nothing is set from here on, until env_end puts this program's own back. One at a time. */
void env_begin(void);
void env_end(void);

/* One variable more; nothing is set any more; this one alone is. */
void env_put(const char *name, const char *value);
void env_clear(void);
void env_only(const char *name, const char *value);

#endif
