/* Processes that tools left behind in sessions of their own. As a child subreaper the gateway
 * inherits them once their parents are dead. */
#ifndef SNAKEPIT_BRIDGE_STRAYS_H
#define SNAKEPIT_BRIDGE_STRAYS_H

/* Kills every child that the process still has. The last thing it does. */
void strays_kill(void);

#endif
