// What the kernel counts of processors' time (proc(5)).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace sluice::floor {

/// User and system time of all threads of a process, io_uring's workers in the kernel among them.
/// Counted in ticks of 10 ms. 0 if there is no such process.
std::uint64_t process_cpu_ns(pid_t pid);

/// Time that all processors together were not idle: this has the kernel's own threads too, and all
/// else that runs on the machine.
std::uint64_t machine_busy_ns();

std::uint64_t monotonic_ns();

}  // namespace sluice::floor
