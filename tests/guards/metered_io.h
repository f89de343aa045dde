// The seam, with a meter in it: an Io that passes everything on to another one, counts it, and says
// whose code runs. What it serves runs between its calls, and in the handlers that run_once() runs;
// whatever is below it is nobody's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/io.h"
#include "tests/guards/meter.h"

namespace sluice::guards {

class MeteredIo final : public io::Io {
 public:
  /// Both outlive it.
  MeteredIo(io::Io& inner, Meter& meter) : inner_(inner), meter_(meter) {}

  void run_once() override;
  [[nodiscard]] std::size_t pending() const override { return inner_.pending(); }
  [[nodiscard]] std::uint64_t now_ns() const override { return inner_.now_ns(); }
  [[nodiscard]] std::uint64_t wall_ns() const override { return inner_.wall_ns(); }
  [[nodiscard]] std::uint64_t random() override { return inner_.random(); }
  void timer(io::Completion& completion, std::uint64_t deadline_ns) override;
  [[nodiscard]] std::unique_ptr<io::Waker> make_waker() override;
  void wait_for_wake(io::Completion& completion, io::Waker& waker) override;
  void cancel(io::Completion& completion) override;

  void open(io::Completion& completion, const char* path, io::OpenFlags flags) override;
  void close(io::Handle handle) override;
  void read(io::Completion& completion, io::Handle file, std::span<std::byte> buffer,
            std::uint64_t offset) override;
  void write(io::Completion& completion, io::Handle file, std::span<const std::byte> bytes,
             std::uint64_t offset, bool durable) override;
  void sync(io::Completion& completion, io::Handle file) override;
  void allocate(io::Completion& completion, io::Handle file, std::uint64_t size_bytes) override;
  void rename(io::Completion& completion, const char* from, const char* to) override;
  void unlink(io::Completion& completion, const char* path) override;

  [[nodiscard]] Result<io::Endpoint> resolve(std::string_view address) override;
  [[nodiscard]] Result<io::Handle> listen(const io::Endpoint& endpoint, int& error) override;
  [[nodiscard]] std::uint16_t local_port(io::Handle socket) const override;
  void accept(io::Completion& completion, io::Handle listener) override;
  void connect(io::Completion& completion, const io::Endpoint& endpoint) override;
  void recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) override;
  void send(io::Completion& completion, io::Handle socket, std::span<const iovec> slices) override;
  void shutdown(io::Handle socket) override;

  [[nodiscard]] Result<std::vector<std::string>> list_directory(const char* path,
                                                                int& error) override;
  [[nodiscard]] Result<void> make_directory(const char* path, int& error) override;
  [[nodiscard]] Result<io::Handle> lock_file(const char* path, int& error) override;
  [[nodiscard]] Result<std::uint64_t> file_size(const char* path, int& error) override;

 private:
  class MeteredWaker;
  /// Stands between the Io below and the completion that it was asked to fire.
  struct Relay {
    explicit Relay(MeteredIo& owner) : io(owner) {}
    void on_done(std::int32_t result);
    MeteredIo& io;
    std::size_t number = 0;
    io::Completion* outer = nullptr;
    io::Completion inner{io::Completion::bind<&Relay::on_done>(this)};
  };
  io::Completion& relay(io::Completion& outer);

  io::Io& inner_;
  Meter& meter_;
  std::deque<Relay> relays_;
  std::vector<std::size_t> free_;
  bool submitted_ = false;  // something, since the last run_once()
};

}  // namespace sluice::guards
