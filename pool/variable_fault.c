#include "pool/variable_fault.h"

#include <stdarg.h>
#include <stdio.h>

bool variable_fault(struct variable_fault *out_fault, const char *member, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    out_fault->member = member;
    out_fault->constraint = (struct bytes){0};
    (void)vsnprintf(out_fault->detail, sizeof out_fault->detail, format, arguments);
    va_end(arguments);
    return false;
}
