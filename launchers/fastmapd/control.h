/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket `control` in the state folder: whoever can open it (nobody else can enter the folder) and
 * connects is told what the daemon does, as a table for people. Nothing is read from it.
 */
#ifndef FMD_CONTROL_H
#define FMD_CONTROL_H

#include "service.h"

struct fmd_control;

int fmd_control_start(struct fmd_service *service, const char *url, struct fmd_control **control);
void fmd_control_stop(struct fmd_control *control);

#endif
