/* The variadic half of dprintf: what followed the format, as a list. The exported names stand in dprintf.rs. */
#define _GNU_SOURCE 1
#include <stdarg.h>
#include <stdio.h>

int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments);

int tunsock_dprintf_named(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = vdprintf(fd, format, arguments);
    va_end(arguments);
    return result;
}

int tunsock_dprintf_checked(int fd, int flag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int result = __vdprintf_chk(fd, flag, format, arguments);
    va_end(arguments);
    return result;
}
