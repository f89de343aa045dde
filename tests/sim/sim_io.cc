#include "tests/sim/sim_io.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "wire/checksum.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace sluice::sim {
namespace {

constexpr std::uint64_t kWallBase = 1'750'000'000'000'000'000;
constexpr Time kSyscall = 2 * kUs;
constexpr Time kWakeLatency = 4 * kUs;
constexpr Time kLateWriteMax = 50 * kMs;
constexpr Time kStallLook = 5 * kMs;

struct Address {
  std::uint64_t machine = 0;
  std::uint64_t port = 0;
};

Address address_of(const io::Endpoint& endpoint) {
  Address address;
  std::memcpy(&address, endpoint.storage, sizeof address);
  return address;
}

/// What a read or recv will fill belongs to the kernel until it completes.
void lend(std::span<std::byte> buffer) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(buffer.data(), buffer.size());
#else
  std::memset(buffer.data(), 0xDB, std::min<std::size_t>(buffer.size(), 64));
#endif
}
void take_back([[maybe_unused]] std::span<std::byte> buffer) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(buffer.data(), buffer.size());
#endif
}

std::uint64_t hash_of(std::span<const iovec> slices) {
  std::uint64_t hash = slices.size();
  for (const iovec& slice : slices) {
    hash = hash * 31 + checksum({static_cast<const std::byte*>(slice.iov_base), slice.iov_len});
  }
  return hash;
}

}  // namespace

/// A waker that was told before anybody waited remembers it.
class SimIo::SimWaker final : public io::Waker {
 public:
  explicit SimWaker(SimIo& io) : io_(io) {}
  void wake() override {
    told_ = true;
    pass_on();
  }
  void wait(OpRef op) {
    waiting_ = op;
    pass_on();
  }

 private:
  void pass_on() {
    if (!told_) return;
    Op* op = io_.find(waiting_);
    if (op == nullptr) return;
    told_ = false;
    io_.later(*op, kWakeLatency, &SimIo::do_wake);
    waiting_ = {};
  }
  SimIo& io_;
  OpRef waiting_{};
  bool told_ = false;
};

SimIo::SimIo(Process& process, Process::Task& task)
    : process_(process),
      task_(task),
      world_(process.world()),
      disk_(*process.machine().disk),
      network_(process.network()),
      now_ns_(process.machine().clock.at(world_.now())) {}

SimIo::~SimIo() { SLUICE_CHECK(pending_ == 0); }

// --- books -----------------------------------------------------------------------------------

SimIo::Op& SimIo::begin(io::Completion& completion, Kind kind) {
  SLUICE_CHECK(!dead_);
  if (free_ops_.empty()) {
    free_ops_.push_back(static_cast<std::uint32_t>(ops_.size()));
    ops_.emplace_back();
  }
  const std::uint32_t number = free_ops_.back();
  free_ops_.pop_back();
  Op& op = ops_[number];
  const std::uint64_t generation = op.generation + 1;
  op = Op{};
  op.number = number;
  op.generation = generation;
  op.completion = &completion;
  op.kind = kind;
  completion.begin();
  completion.io_state[0] = number;
  ++pending_;
  submitted_.push_back(number);
  return op;
}

SimIo::Op* SimIo::find(OpRef ref) {
  if (dead_ || ref.number >= ops_.size()) return nullptr;
  Op& op = ops_[ref.number];
  if (op.generation != ref.generation || op.completion == nullptr || op.done) return nullptr;
  return &op;
}

void SimIo::finish(Op& op, std::int32_t result) {
  SLUICE_CHECK(!op.done);
  op.done = true;
  op.result = result;
  if (op.kind == Kind::kRead || op.kind == Kind::kRecv) take_back(op.buffer);
  world_.mix(static_cast<std::uint64_t>(op.kind) << 32 ^ static_cast<std::uint32_t>(result));
  ready_.push_back(op.number);
  process_.schedule(task_);
}

void SimIo::later(Op& op, Time delay, void (SimIo::*action)(Op&)) {
  world_.after(delay, [this, ref = OpRef{op.number, op.generation}, action] {
    if (Op* found = find(ref)) (this->*action)(*found);
  });
}

void SimIo::run_once() {
  SLUICE_CHECK(!dead_);
  // What is submitted while this goes on leaves with it, too: wakers answer at once.
  for (std::size_t i = 0; i < submitted_.size(); ++i) {
    Op& op = ops_[submitted_[i]];
    if (op.completion != nullptr && !op.done) dispatch(op);
  }
  submitted_.clear();
  if (!ready_.empty()) process_.schedule(task_);
  task_.fiber->yield();
  if (dead_) throw ProcessGone{};
  now_ns_ = std::max(now_ns_, process_.machine().clock.at(world_.now()));
  running_.clear();
  std::swap(running_, ready_);
  if (process_.machine().times.reorder) process_.random().shuffle(std::span(running_));
  for (const std::uint32_t number : running_) {
    Op& op = ops_[number];
    io::Completion* completion = std::exchange(op.completion, nullptr);
    const std::int32_t result = op.result;
    free_ops_.push_back(number);
    --pending_;
    completion->complete(result);
  }
}

void SimIo::abandon(bool power_lost) {
  dead_ = true;
  for (Op& op : ops_) {
    if (op.completion == nullptr) continue;
    op.completion->abandon();
    op.completion = nullptr;
    if (op.done) continue;
    if (op.kind == Kind::kRead || op.kind == Kind::kRecv) take_back(op.buffer);
    if (power_lost || op.disk_id == 0) continue;
    if (op.kind == Kind::kSync) disk_.abandon_sync(op.disk_id);
    if (op.kind != Kind::kWrite) continue;
    if (process_.random().coin()) {
      disk_.abandon_write(op.disk_id);
      continue;
    }
    // The kernel goes on with it, though the process is gone, and perhaps its successor runs.
    disk_.detach_write(op.disk_id);
    world_.after(process_.random().below(kLateWriteMax), [this, id = op.disk_id] {
      if (disk_.has_write(id)) (void)disk_.end_write(id, nullptr);
    });
  }
  pending_ = 0;
}

void SimIo::cancel(io::Completion& completion) {
  if (dead_ || !completion.pending()) return;
  Op& op = ops_[completion.io_state[0]];
  SLUICE_CHECK(op.completion == &completion);
  if (op.done) return;
  switch (op.kind) {
    case Kind::kOpen:
    case Kind::kRead:
    case Kind::kWrite:
    case Kind::kAllocate:
    case Kind::kSync:
    case Kind::kRename:
    case Kind::kUnlink:
      // The disk does not take an order back.
      if (std::ranges::find(submitted_, op.number) == submitted_.end()) return;
      break;
    default:
      break;
  }
  finish(op, -ECANCELED);
}

// --- time and chance -------------------------------------------------------------------------

std::uint64_t SimIo::wall_ns() const { return kWallBase + now_ns_; }
std::uint64_t SimIo::random() { return process_.random().next(); }

Time SimIo::spread(Time time) {
  return time / 2 + process_.random().below(time * process_.machine().times.spread + 1);
}

/// Like later(), for what the disk does: not while it stalls.
void SimIo::on_disk(Op& op, Time time, void (SimIo::*action)(Op&)) {
  world_.after(spread(time), [this, ref = OpRef{op.number, op.generation}, action] {
    Op* found = find(ref);
    if (found == nullptr) return;
    if (process_.machine().disk_stalled_until > world_.now()) {
      return on_disk(*found, kStallLook, action);
    }
    (this->*action)(*found);
  });
}

void SimIo::timer(io::Completion& completion, std::uint64_t deadline_ns) {
  begin(completion, Kind::kTimer).offset = deadline_ns;
}

std::unique_ptr<io::Waker> SimIo::make_waker() { return std::make_unique<SimWaker>(*this); }

void SimIo::wait_for_wake(io::Completion& completion, io::Waker& waker) {
  begin(completion, Kind::kWake).waker = &static_cast<SimWaker&>(waker);
}

// --- submissions -----------------------------------------------------------------------------

void SimIo::open(io::Completion& completion, const char* path, io::OpenFlags flags) {
  Op& op = begin(completion, Kind::kOpen);
  op.path = path;
  op.flags = flags;
}

void SimIo::close(io::Handle handle) {
  if (dead_) return;
  for (const Op& op : ops_) SLUICE_CHECK(op.completion == nullptr || op.handle != handle);
  process_.close_handle(handle);
}

void SimIo::read(io::Completion& completion, io::Handle file, std::span<std::byte> buffer,
                 std::uint64_t offset) {
  Op& op = begin(completion, Kind::kRead);
  op.handle = file;
  op.buffer = buffer;
  op.offset = offset;
}

void SimIo::write(io::Completion& completion, io::Handle file, std::span<const std::byte> bytes,
                  std::uint64_t offset, bool durable) {
  Op& op = begin(completion, Kind::kWrite);
  op.handle = file;
  op.bytes = bytes;
  op.offset = offset;
  op.durable = durable;
}

void SimIo::allocate(io::Completion& completion, io::Handle file, std::uint64_t size_bytes) {
  Op& op = begin(completion, Kind::kAllocate);
  op.handle = file;
  op.offset = size_bytes;
}

void SimIo::sync(io::Completion& completion, io::Handle file) {
  begin(completion, Kind::kSync).handle = file;
}

void SimIo::rename(io::Completion& completion, const char* from, const char* to) {
  Op& op = begin(completion, Kind::kRename);
  op.path = from;
  op.path_to = to;
}

void SimIo::unlink(io::Completion& completion, const char* path) {
  begin(completion, Kind::kUnlink).path = path;
}

void SimIo::accept(io::Completion& completion, io::Handle listener) {
  begin(completion, Kind::kAccept).handle = listener;
}

void SimIo::connect(io::Completion& completion, const io::Endpoint& endpoint) {
  begin(completion, Kind::kConnect).endpoint = endpoint;
}

void SimIo::recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) {
  Op& op = begin(completion, Kind::kRecv);
  op.handle = socket;
  op.buffer = buffer;
}

void SimIo::send(io::Completion& completion, io::Handle socket, std::span<const iovec> slices) {
  Op& op = begin(completion, Kind::kSend);
  op.handle = socket;
  op.slices = slices;
}

void SimIo::dispatch(Op& op) {
  const IoTimes& times = process_.machine().times;
  switch (op.kind) {
    case Kind::kTimer: {
      const Time when = process_.machine().clock.when(op.offset);
      return later(op, when > world_.now() ? when - world_.now() : 0, &SimIo::do_wake);
    }
    case Kind::kWake:
      return op.waker->wait({op.number, op.generation});
    case Kind::kOpen:
      return on_disk(op, times.name, &SimIo::do_open);
    case Kind::kRead:
      lend(op.buffer);
      return on_disk(op, times.read, &SimIo::do_read);
    case Kind::kWrite: {
      const auto& file = std::get<Process::FileHandle>(process_.handle(op.handle));
      op.disk_id = disk_.begin_write(file.file, op.bytes, op.offset, op.durable);
      const auto& on_two_files = process_.machine().on_two_files;
      if (on_two_files && disk_.files_written_durably() > 1) on_two_files();
      const Time bytes = times.write_kib * op.bytes.size() / 1024;
      return on_disk(op, bytes + (op.durable ? times.durable_write : times.write), &SimIo::do_write);
    }
    case Kind::kAllocate:
      return on_disk(op, times.name, &SimIo::do_allocate);
    case Kind::kSync: {
      const auto& file = std::get<Process::FileHandle>(process_.handle(op.handle));
      op.disk_id = disk_.begin_sync(file.file);
      return on_disk(op, times.sync, &SimIo::do_sync);
    }
    case Kind::kRename:
      return on_disk(op, times.name, &SimIo::do_rename);
    case Kind::kUnlink:
      return on_disk(op, times.name, &SimIo::do_unlink);
    case Kind::kAccept:
      return do_accept(op);
    case Kind::kConnect:
      return do_connect(op);
    case Kind::kRecv:
      lend(op.buffer);
      return do_recv(op);
    case Kind::kSend:
      op.sent_hash = hash_of(op.slices);
      return later(op, kSyscall, &SimIo::do_send);
  }
}

// --- what happens ----------------------------------------------------------------------------

void SimIo::do_wake(Op& op) { finish(op, 0); }

void SimIo::do_open(Op& op) {
  const std::int32_t file = disk_.open(op.path, op.flags);
  if (file < 0) return finish(op, file);
  finish(op, process_.add_handle(Process::FileHandle{static_cast<Disk::FileId>(file)}));
}

void SimIo::do_read(Op& op) {
  const auto& file = std::get<Process::FileHandle>(process_.handle(op.handle));
  take_back(op.buffer);
  const std::int32_t result = disk_.read(file.file, op.buffer, op.offset);
  if (result > 0) world_.mix(checksum(op.buffer.first(static_cast<std::size_t>(result))));
  finish(op, result);
}

void SimIo::do_write(Op& op) {
  bool changed = false;
  const std::uint64_t id = std::exchange(op.disk_id, 0);
  const std::int32_t result = disk_.end_write(id, &changed);
  if (changed) world_.report("a buffer was changed while it was being written to disk");
  finish(op, result);
}

void SimIo::do_sync(Op& op) { finish(op, disk_.end_sync(std::exchange(op.disk_id, 0))); }
void SimIo::do_allocate(Op& op) {
  const auto& file = std::get<Process::FileHandle>(process_.handle(op.handle));
  finish(op, disk_.allocate(file.file, op.offset));
}
void SimIo::do_rename(Op& op) { finish(op, disk_.rename(op.path, op.path_to)); }
void SimIo::do_unlink(Op& op) { finish(op, disk_.unlink(op.path)); }

void SimIo::do_accept(Op& op) {
  const std::uint16_t port = std::get<Process::ListenHandle>(process_.handle(op.handle)).port;
  const std::size_t machine = process_.machine().number;
  if (auto socket = network_.take_connection(machine, port)) {
    return finish(op, process_.add_handle(std::move(socket)));
  }
  network_.wait_for_connection(machine, port, [this, ref = OpRef{op.number, op.generation}] {
    if (Op* found = find(ref)) do_accept(*found);
  });
}

void SimIo::do_connect(Op& op) {
  const Address to = address_of(op.endpoint);
  const OpRef ref{op.number, op.generation};
  network_.connect(process_.machine().number, to.machine, static_cast<std::uint16_t>(to.port),
                   {.alive = [this, ref] { return find(ref) != nullptr; },
                    .done =
                        [this, ref](SocketRef socket, int error) {
                          Op* found = find(ref);
                          SLUICE_CHECK(found != nullptr);
                          finish(*found, socket ? process_.add_handle(std::move(socket)) : -error);
                        }});
}

void SimIo::do_recv(Op& op) {
  const SocketRef socket = std::get<SocketRef>(process_.handle(op.handle));
  if (socket->unread_bytes() > 0) {
    take_back(op.buffer);
    const std::size_t size = network_.receive(socket, op.buffer);
    world_.mix(checksum(op.buffer.first(size)));
    return finish(op, static_cast<std::int32_t>(size));
  }
  if (socket->reset) return finish(op, -ECONNRESET);
  if (socket->fin_received) return finish(op, 0);
  socket->on_readable = [this, ref = OpRef{op.number, op.generation}] {
    if (Op* found = find(ref)) do_recv(*found);
  };
}

void SimIo::do_send(Op& op) {
  const SocketRef socket = std::get<SocketRef>(process_.handle(op.handle));
  if (socket->reset) return finish(op, -ECONNRESET);
  if (socket->fin_sent) return finish(op, -EPIPE);
  const std::size_t room = network_.room(*socket);
  if (room == 0) {
    socket->on_writable = [this, ref = OpRef{op.number, op.generation}] {
      if (Op* found = find(ref)) do_send(*found);
    };
    return;
  }
  if (hash_of(op.slices) != op.sent_hash) {
    world_.report("a buffer was changed while it was being sent");
  }
  std::size_t wanted = 0;
  for (const iovec& slice : op.slices) wanted += slice.iov_len;
  std::size_t size = std::min(wanted, room);
  const Link& way = network_.link(socket->machine, socket->to_machine);
  if (size > 1 && process_.random().chance(way.short_transfer)) {
    size = process_.random().between(1, size);
  }
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  for (const iovec& slice : op.slices) {
    const auto* from = static_cast<const std::byte*>(slice.iov_base);
    const std::size_t part = std::min(slice.iov_len, size - bytes.size());
    bytes.insert(bytes.end(), from, from + part);
  }
  if (process_.on_sent) process_.on_sent(*socket, bytes);
  network_.send(socket, std::move(bytes));
  finish(op, static_cast<std::int32_t>(size));
}

void SimIo::shutdown(io::Handle handle) {
  if (dead_) return;
  network_.shutdown(std::get<SocketRef>(process_.handle(handle)));
}

// --- at once ---------------------------------------------------------------------------------

Result<io::Endpoint> SimIo::resolve(std::string_view address) {
  // "m<machine>:<port>"
  Address parsed;
  const auto colon = address.find(':');
  if (!address.starts_with('m') || colon == std::string_view::npos) {
    return fail(Errc::kInvalidRequest);
  }
  std::from_chars(address.data() + 1, address.data() + colon, parsed.machine);
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), parsed.port);
  io::Endpoint endpoint;
  std::memcpy(endpoint.storage, &parsed, sizeof parsed);
  endpoint.size_bytes = sizeof parsed;
  return endpoint;
}

Result<io::Handle> SimIo::listen(const io::Endpoint& endpoint, int& error) {
  const auto port = static_cast<std::uint16_t>(address_of(endpoint).port);
  if (!network_.listen(process_.machine().number, port)) {
    error = EADDRINUSE;
    return fail(Errc::kIo);
  }
  return static_cast<io::Handle>(process_.add_handle(Process::ListenHandle{port}));
}

std::uint16_t SimIo::local_port(io::Handle socket) const {
  return std::get<Process::ListenHandle>(process_.handle(socket)).port;
}

Result<std::vector<std::string>> SimIo::list_directory(const char* path, int& error) {
  auto names = disk_.list(path);
  if (names) return std::move(*names);
  error = ENOENT;
  return fail(Errc::kIo);
}

Result<void> SimIo::make_directory(const char* path, int& error) {
  const std::int32_t result = disk_.make_directory(path);
  if (result == 0) return {};
  error = -result;
  return fail(Errc::kIo);
}

Result<io::Handle> SimIo::lock_file(const char* path, int& error) {
  auto& locks = process_.machine().locks;
  if (locks.contains(path)) {
    error = EWOULDBLOCK;
    return fail(Errc::kInUse);
  }
  const std::int32_t file = disk_.open(path, {.create = true});
  if (file < 0) {
    error = -file;
    return fail(Errc::kIo);
  }
  disk_.close(static_cast<Disk::FileId>(file));
  locks[path] = &process_;
  return static_cast<io::Handle>(process_.add_handle(Process::LockHandle{path}));
}

Result<std::uint64_t> SimIo::file_size(const char* path, int& error) {
  if (const auto size = disk_.size(path)) return *size;
  error = ENOENT;
  return fail(Errc::kIo);
}

}  // namespace sluice::sim
