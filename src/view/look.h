/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share about looking. */
#ifndef WI_VIEW_LOOK_H
#define WI_VIEW_LOOK_H

#include <weir/view.h>

/* From here on reading does not ask for more pictures. */
void wi_view_be_quiet(weir_view *view);

#endif
