#include "tests/guards/metered_io.h"

#include <utility>

namespace sluice::guards {

class MeteredIo::MeteredWaker final : public io::Waker {
 public:
  explicit MeteredWaker(std::unique_ptr<io::Waker> inner) : inner_(std::move(inner)) {}
  void wake() override {
    const Outside outside;
    inner_->wake();
  }
  [[nodiscard]] io::Waker& inner() { return *inner_; }

 private:
  std::unique_ptr<io::Waker> inner_;
};

void MeteredIo::Relay::on_done(std::int32_t result) {
  io::Completion& fired = *std::exchange(outer, nullptr);
  io.free_.push_back(number);
  const Inside inside(io.meter_);
  fired.complete(result);
}

/// Called outside: what this keeps is not the party's.
io::Completion& MeteredIo::relay(io::Completion& outer) {
  if (free_.empty()) {
    free_.push_back(relays_.size());
    relays_.emplace_back(*this).number = free_.back();
  }
  Relay& relay = relays_[free_.back()];
  free_.pop_back();
  relay.outer = &outer;
  outer.begin();
  outer.io_state[0] = relay.number;
  ++meter_.counts.operations;
  submitted_ = true;
  return relay.inner;
}

void MeteredIo::run_once() {
  const Outside outside;
  ++meter_.counts.loops;
  if (std::exchange(submitted_, false)) ++meter_.counts.submits;
  try {
    inner_.run_once();
  } catch (...) {
    // The process is gone: nothing of it ever completes.
    for (Relay& relay : relays_) {
      if (relay.outer != nullptr) relay.outer->abandon();
      relay.outer = nullptr;
    }
    throw;
  }
}

void MeteredIo::timer(io::Completion& completion, std::uint64_t deadline_ns) {
  const Outside outside;
  inner_.timer(relay(completion), deadline_ns);
}

std::unique_ptr<io::Waker> MeteredIo::make_waker() {
  const Outside outside;
  return std::make_unique<MeteredWaker>(inner_.make_waker());
}

void MeteredIo::wait_for_wake(io::Completion& completion, io::Waker& waker) {
  const Outside outside;
  inner_.wait_for_wake(relay(completion), static_cast<MeteredWaker&>(waker).inner());
}

void MeteredIo::cancel(io::Completion& completion) {
  if (!completion.pending()) return;
  const Outside outside;
  Relay& relay = relays_[completion.io_state[0]];
  SLUICE_CHECK(relay.outer == &completion);
  inner_.cancel(relay.inner);
}

// --- files -----------------------------------------------------------------------------------

void MeteredIo::open(io::Completion& completion, const char* path, io::OpenFlags flags) {
  const Outside outside;
  inner_.open(relay(completion), path, flags);
}

void MeteredIo::close(io::Handle handle) {
  const Outside outside;
  inner_.close(handle);
}

void MeteredIo::read(io::Completion& completion, io::Handle file, std::span<std::byte> buffer,
                     std::uint64_t offset) {
  const Outside outside;
  ++meter_.counts.reads;
  meter_.counts.read_bytes += buffer.size();
  inner_.read(relay(completion), file, buffer, offset);
}

void MeteredIo::write(io::Completion& completion, io::Handle file,
                      std::span<const std::byte> bytes, std::uint64_t offset, bool durable) {
  const Outside outside;
  Counts& counts = meter_.counts;
  ++(durable ? counts.writes : counts.plain_writes);
  (durable ? counts.written_bytes : counts.plain_written_bytes) += bytes.size();
  inner_.write(relay(completion), file, bytes, offset, durable);
}

void MeteredIo::sync(io::Completion& completion, io::Handle file) {
  const Outside outside;
  ++meter_.counts.syncs;
  inner_.sync(relay(completion), file);
}

void MeteredIo::allocate(io::Completion& completion, io::Handle file, std::uint64_t size_bytes) {
  const Outside outside;
  inner_.allocate(relay(completion), file, size_bytes);
}

void MeteredIo::rename(io::Completion& completion, const char* from, const char* to) {
  const Outside outside;
  inner_.rename(relay(completion), from, to);
}

void MeteredIo::unlink(io::Completion& completion, const char* path) {
  const Outside outside;
  inner_.unlink(relay(completion), path);
}

// --- sockets ---------------------------------------------------------------------------------

Result<io::Endpoint> MeteredIo::resolve(std::string_view address) {
  const Outside outside;
  return inner_.resolve(address);
}

Result<io::Handle> MeteredIo::listen(const io::Endpoint& endpoint, int& error) {
  const Outside outside;
  return inner_.listen(endpoint, error);
}

std::uint16_t MeteredIo::local_port(io::Handle socket) const { return inner_.local_port(socket); }

void MeteredIo::accept(io::Completion& completion, io::Handle listener) {
  const Outside outside;
  inner_.accept(relay(completion), listener);
}

void MeteredIo::connect(io::Completion& completion, const io::Endpoint& endpoint) {
  const Outside outside;
  inner_.connect(relay(completion), endpoint);
}

void MeteredIo::recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) {
  const Outside outside;
  ++meter_.counts.recvs;
  inner_.recv(relay(completion), socket, buffer);
}

void MeteredIo::send(io::Completion& completion, io::Handle socket,
                     std::span<const iovec> slices) {
  const Outside outside;
  ++meter_.counts.sends;
  inner_.send(relay(completion), socket, slices);
}

void MeteredIo::shutdown(io::Handle socket) {
  const Outside outside;
  inner_.shutdown(socket);
}

// --- at once ---------------------------------------------------------------------------------

Result<std::vector<std::string>> MeteredIo::list_directory(const char* path, int& error) {
  const Outside outside;
  return inner_.list_directory(path, error);
}

Result<void> MeteredIo::make_directory(const char* path, int& error) {
  const Outside outside;
  return inner_.make_directory(path, error);
}

Result<io::Handle> MeteredIo::lock_file(const char* path, int& error) {
  const Outside outside;
  return inner_.lock_file(path, error);
}

Result<std::uint64_t> MeteredIo::file_size(const char* path, int& error) {
  const Outside outside;
  return inner_.file_size(path, error);
}

}  // namespace sluice::guards
