// SPDX-License-Identifier: BSD-3-Clause
// C++ in worker processes: global objects are made there, exceptions are caught, and one that leaves an
// element ends its worker.
#include <cstdio>
#include <cstring>
#include <fastmap.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

const int n = 100;

struct table {
    std::vector<double> values;
    table()
    {
        for (int i = 0; i < n; i++)
            values.push_back(0.5 * i);
    }
};

table global; // made before main()
const std::string name = std::string(40, 'x') + "!";

double risky(std::size_t index)
{
    if (index % 2 == 1)
        throw std::runtime_error(name);
    return 1;
}

int element(const void *, void *out, const void *shared)
{
    const std::size_t index = fastmap_index();
    double value = 0;
    try {
        value = risky(index);
    } catch (const std::runtime_error &error) {
        value = std::strlen(error.what()) == 41 ? 2 : 0;
    }
    if (index == 51 && *static_cast<const int *>(shared) != 0)
        throw std::runtime_error("not caught");
    *static_cast<double *>(out) = global.values.at(index) + value;
    return 0;
}

} // namespace

int main(int argc, char **)
{
    static double out[n];
    const int throws = argc > 1;
    fastmap_map map{};
    map.size = sizeof map;
    map.func = element;
    map.out = out;
    map.out_size = sizeof *out;
    map.n = n;
    map.shared = &throws;
    map.shared_size = sizeof throws;
    map.workers = FASTMAP_WORKERS_PROCESSES;
    fastmap_report report{};
    report.size = sizeof report;
    const int code = fastmap_run(&map, &report);
    int right = 0;
    for (int i = 0; i < n; i++)
        right += out[i] == 0.5 * i + (i % 2 == 1 ? 2 : 1);
    std::printf("%d, %d right, %zu failed, signal %d of %zu\n", code, right, report.failed,
                report.failures[0].signal, report.failures[0].index);
    return 0;
}
