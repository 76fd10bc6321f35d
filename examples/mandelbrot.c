/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mandelbrot: a picture of the Mandelbrot set, one row an element, written as PNG.
 *
 * Rows differ in cost by a factor of hundreds: a point inside the set takes all iterations, a point far
 * outside a handful. No fixed division of the picture among threads is even, which makes it a good example.
 *
 * Colour and light come from the last z of a point that escapes, and its derivative dz/dc: the iteration
 * count made continuous (nu = n + 1 - log2(log |z|)) picks the colour, and the direction of z / (dz/dc), the
 * slope of the potential around the set, is lit from the upper left like a landscape.
 */
#include <errno.h>
#include <fastmap.h>
#include <getopt.h>
#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct view {
    double re, im; /* centre */
    double span;   /* width of the picture in the complex plane */
    int width, height;
    int iterations;
};

struct colour {
    double red, green, blue; /* 0 to 1 */
};

enum { SAMPLES = 2 }; /* per pixel and direction: smooths what is finer than a pixel */

static const double escape_squared = 1e6; /* far out, where nu and the slope are smooth */

/* A wheel of colours, for t in turns: night blue, sky, ivory, amber, umber, and round. */
static struct colour wheel(double t)
{
    static const struct colour stops[] = {{0.02, 0.04, 0.16},
                                          {0.10, 0.35, 0.67},
                                          {0.86, 0.94, 0.96},
                                          {0.98, 0.70, 0.16},
                                          {0.40, 0.12, 0.05}};
    enum { STOPS = sizeof stops / sizeof *stops };
    double place = (t - floor(t)) * STOPS;
    int left = (int)place % STOPS;
    struct colour a = stops[left], b = stops[(left + 1) % STOPS];
    double x = place - floor(place);
    x = x * x * (3 - 2 * x);
    return (struct colour){a.red + x * (b.red - a.red), a.green + x * (b.green - a.green),
                           a.blue + x * (b.blue - a.blue)};
}

/* Colour of a point that escaped after n steps at z = (x, y) with derivative (dx, dy). */
static struct colour shade(int n, double x, double y, double dx, double dy)
{
    double nu = n + 1 - log2(0.5 * log(x * x + y * y));
    double ux = x * dx + y * dy, uy = y * dx - x * dy; /* direction of z / (dz/dc) */
    double length = hypot(ux, uy);
    const double height = 1.4, light_x = -0.7071, light_y = 0.7071;
    double light = 0;
    if (length > 0)
        light = fmax(0, ((ux * light_x + uy * light_y) / length + height) / (1 + height));
    double brightness = 0.35 + 0.75 * light;
    struct colour c = wheel(0.15 * log2(1 + fmax(0, nu)));
    return (struct colour){c.red * brightness, c.green * brightness, c.blue * brightness};
}

/* Iterates z = z^2 + c and dz/dc = 2 z dz/dc + 1 from 0. */
static struct colour sample(double re, double im, int iterations)
{
    double x = 0, y = 0, dx = 0, dy = 0;
    for (int n = 0; n < iterations; n++) {
        double dx_next = 2 * (x * dx - y * dy) + 1;
        dy = 2 * (x * dy + y * dx);
        dx = dx_next;
        double x_next = x * x - y * y + re;
        y = 2 * x * y + im;
        x = x_next;
        if (x * x + y * y > escape_squared)
            return shade(n, x, y, dx, dy);
    }
    return (struct colour){0, 0, 0};
}

static unsigned char to_byte(double intensity)
{
    return (unsigned char)lround(255 * fmin(1, fmax(0, intensity)));
}

/* The element: one row of pixels, three bytes each. */
static int draw_row(const void *in, void *out, const void *shared)
{
    const struct view *view = shared;
    int row = *(const int *)in;
    unsigned char *pixel = out;
    double step = view->span / (view->width * SAMPLES);
    for (int column = 0; column < view->width; column++, pixel += 3) {
        struct colour sum = {0, 0, 0};
        for (int k = 0; k < SAMPLES * SAMPLES; k++) {
            int right = k % SAMPLES, below = k / SAMPLES;
            double across = (column - 0.5 * view->width) * SAMPLES + right + 0.5;
            double down = (row - 0.5 * view->height) * SAMPLES + below + 0.5;
            struct colour c =
                sample(view->re + across * step, view->im - down * step, view->iterations);
            sum.red += c.red, sum.green += c.green, sum.blue += c.blue;
        }
        pixel[0] = to_byte(sum.red / (SAMPLES * SAMPLES));
        pixel[1] = to_byte(sum.green / (SAMPLES * SAMPLES));
        pixel[2] = to_byte(sum.blue / (SAMPLES * SAMPLES));
    }
    return 0;
}

static int write_png(const char *path, const unsigned char *pixels, const struct view *view)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .format = PNG_FORMAT_RGB,
                       .width = (png_uint_32)view->width,
                       .height = (png_uint_32)view->height};
    errno = 0;
    if (png_image_write_to_file(&image, path, 0, pixels, 0, NULL))
        return 0;
    fprintf(stderr, "mandelbrot: cannot write %s: %s; give another file with --output\n", path,
            errno ? strerror(errno) : image.message);
    return -1;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Draws by the plain loop, then by the map, into arrays of their own, and says how they compare. */
static int draw(const struct view *view, const int *rows, unsigned char *by_loop,
                unsigned char *by_map)
{
    size_t n = (size_t)view->height, row_bytes = 3 * (size_t)view->width;
    double loop_seconds = 0;
    if (by_loop) {
        double start = seconds_now();
        for (size_t i = 0; i < n; i++)
            draw_row(&rows[i], by_loop + i * row_bytes, view);
        loop_seconds = seconds_now() - start;
    }
    struct fastmap_report report = FASTMAP_REPORT();
    if (fastmap_run(&FASTMAP_MAP(.func = draw_row, .in = rows, .in_size = sizeof *rows,
                                 .out = by_map, .out_size = row_bytes, .n = n, .shared = view,
                                 .shared_size = sizeof *view, .label = "mandelbrot"),
                    &report)) {
        fprintf(stderr, "mandelbrot: %s\n", fastmap_last_error());
        return -1;
    }
    printf("fastmap      %8.3f s   threads: %d\n", report.seconds, report.workers);
    if (!by_loop)
        return 0;
    bool identical = memcmp(by_loop, by_map, n * row_bytes) == 0;
    printf("plain loop   %8.3f s\nspeed-up     %8.2f\nresults identical: %s\n", loop_seconds,
           loop_seconds / report.seconds, identical ? "yes" : "no");
    return identical ? 0 : -1;
}

static int make_picture(const struct view *view, const char *path, bool compare)
{
    size_t n = (size_t)view->height, bytes = 3 * (size_t)view->width * n;
    int *rows = malloc(n * sizeof *rows);
    unsigned char *by_map = malloc(bytes);
    unsigned char *by_loop = compare ? malloc(bytes) : NULL;
    int status = EXIT_FAILURE;
    if (!rows || !by_map || (compare && !by_loop)) {
        fprintf(stderr,
                "mandelbrot: no memory for %d x %d pixels; give a smaller --width or --height\n",
                view->width, view->height);
        goto free_pixels;
    }
    for (int i = 0; i < view->height; i++)
        rows[i] = i;
    if (draw(view, rows, by_loop, by_map) == 0 && write_png(path, by_map, view) == 0) {
        printf("%s: %d x %d pixels, up to %d iterations\n", path, view->width, view->height,
               view->iterations);
        status = EXIT_SUCCESS;
    }

free_pixels:
    free(by_loop);
    free(by_map);
    free(rows);
    return status;
}

static void print_help(void)
{
    printf("usage: mandelbrot [option...]\n"
           "Draws the Mandelbrot set, a row of pixels an element, by the plain loop and by "
           "fastmap.\n\n"
           "  -o, --output FILE      PNG to write (mandelbrot.png)\n"
           "  -w, --width PIXELS     1 to 32768 (1200)\n"
           "  -h, --height PIXELS    1 to 32768 (800)\n"
           "  -i, --iterations N     limit of a point, 1 to 1000000 (2000)\n"
           "  -x, --re X             centre, real part, -4 to 4\n"
           "  -y, --im Y             centre, imaginary part, -4 to 4\n"
           "  -s, --span S           width in the complex plane, 1e-12 to 16\n"
           "      --no-compare       leave out the plain loop\n"
           "      --help             print this and end\n\n"
           "The whole set: --re -0.7 --im 0 --span 3.3\n"
           "Exit code: 0 success, 1 failure, 2 usage.\n");
}

/* Reads a number in [low, high], or says that it is none. */
static bool read_number(const char *name, const char *text, double low, double high, double *value)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end != text && !*end && number >= low && number <= high) {
        *value = number;
        return true;
    }
    fprintf(stderr, "mandelbrot: --%s '%s' is no number from %g to %g\n", name, text, low, high);
    return false;
}

/* The same for a whole number from 1 to high. */
static bool read_count(const char *name, const char *text, int high, int *value)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end != text && !*end && number >= 1 && number <= high) {
        *value = (int)number;
        return true;
    }
    fprintf(stderr, "mandelbrot: --%s '%s' is no whole number from 1 to %d\n", name, text, high);
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"width", required_argument, NULL, 'w'},
        {"height", required_argument, NULL, 'h'}, {"iterations", required_argument, NULL, 'i'},
        {"re", required_argument, NULL, 'x'},     {"im", required_argument, NULL, 'y'},
        {"span", required_argument, NULL, 's'},   {"no-compare", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'H'},         {0}};
    struct view view = {.re = -0.7453,
                        .im = 0.1127,
                        .span = 0.0065,
                        .width = 1200,
                        .height = 800,
                        .iterations = 2000};
    const char *path = "mandelbrot.png";
    bool compare = true, valid = true;
    for (int option;
         valid && (option = getopt_long(argc, argv, "o:w:h:i:x:y:s:", options, NULL)) != -1;) {
        switch (option) {
        case 'o': path = optarg; break;
        case 'w': valid = read_count("width", optarg, 32768, &view.width); break;
        case 'h': valid = read_count("height", optarg, 32768, &view.height); break;
        case 'i': valid = read_count("iterations", optarg, 1000000, &view.iterations); break;
        case 'x': valid = read_number("re", optarg, -4, 4, &view.re); break;
        case 'y': valid = read_number("im", optarg, -4, 4, &view.im); break;
        case 's': valid = read_number("span", optarg, 1e-12, 16, &view.span); break;
        case 'n': compare = false; break;
        case 'H': print_help(); return EXIT_SUCCESS;
        default: valid = false; fprintf(stderr, "mandelbrot: see mandelbrot --help\n");
        }
    }
    if (valid && optind < argc) {
        fprintf(stderr, "mandelbrot: unexpected argument '%s'; see mandelbrot --help\n",
                argv[optind]);
        valid = false;
    }
    return valid ? make_picture(&view, path, compare) : 2;
}
