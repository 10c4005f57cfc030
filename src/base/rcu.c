/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What base/rcu.h needs one of: the word that stands for a grace period towards the thread
 * sanitizer.
 */
#include "base/rcu.h"

#ifdef WI_TSAN
char wi_rcu_grace;
#endif
