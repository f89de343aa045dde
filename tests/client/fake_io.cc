#include "tests/client/fake_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "tests/client/allocations.h"

namespace sluice::client {

FakeIo::~FakeIo() = default;

void FakeIo::add_peer(const std::string& address, FakePeer& peer) {
  addresses_.push_back(address);
  peers_.push_back(&peer);
}

void FakeIo::peer_sends(int socket, std::span<const std::byte> bytes) {
  const NotCounted guard;
  const auto at = sockets_.find(socket);
  if (at == sockets_.end()) return;
  at->second.to_client.insert(at->second.to_client.end(), bytes.begin(), bytes.end());
}

void FakeIo::peer_closes(int socket) {
  const auto at = sockets_.find(socket);
  if (at != sockets_.end()) at->second.peer_closed = true;
}

std::uint64_t FakeIo::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

// --- the loop ------------------------------------------------------------------------------------

void FakeIo::run_once() {
  if (!step(~std::uint64_t{0})) throw std::logic_error("the client waits for nothing");
}

void FakeIo::run_until(std::uint64_t deadline_ns) {
  while (step(deadline_ns)) {
  }
  now_ns_ = std::max(now_ns_, deadline_ns);
}

bool FakeIo::step(std::uint64_t deadline_ns) {
  std::vector<Done> now;
  {
    const NotCounted guard;
    collect();
    if (done_.empty()) {
      if (timers_.empty() || timers_.begin()->first > deadline_ns) return false;
      now_ns_ = std::max(now_ns_, timers_.begin()->first);
      done_.push_back({timers_.begin()->second, 0});
      timers_.erase(timers_.begin());
    }
    now.swap(done_);
  }
  for (const Done& done : now) done.completion->complete(done.result);
  const NotCounted guard;
  now = {};
  return true;
}

/// What ends at this moment.
void FakeIo::collect() {
  while (!timers_.empty() && timers_.begin()->first <= now_ns_) {
    done_.push_back({timers_.begin()->second, 0});
    timers_.erase(timers_.begin());
  }
  std::vector<int> ids;
  for (const auto& [id, socket] : sockets_) ids.push_back(id);
  for (const int id : ids) {
    Socket& socket = sockets_.at(id);
    if (socket.send) take_send(id, socket);
    if (socket.recv && (socket.shut || socket.peer != stalled)) give_recv(socket);
  }
}

void FakeIo::take_send(int id, Socket& socket) {
  if (socket.shut || socket.peer_closed) {
    done_.push_back({std::exchange(socket.send, nullptr), -EPIPE});
    ++sends_over;
    return;
  }
  if (sends_stall || socket.peer == stalled) return;
  std::vector<std::byte> bytes;
  for (const iovec& slice : socket.slices) {
    const auto* at = static_cast<const std::byte*>(slice.iov_base);
    const std::size_t count = std::min(slice.iov_len, send_bytes_max - bytes.size());
    bytes.insert(bytes.end(), at, at + count);
  }
  done_.push_back({std::exchange(socket.send, nullptr), static_cast<std::int32_t>(bytes.size())});
  ++sends_over;
  socket.peer->on_bytes(id, bytes);
}

void FakeIo::give_recv(Socket& socket) {
  if (socket.to_client.empty() && !socket.peer_closed && !socket.shut) return;
  std::size_t count = 0;
  if (!socket.shut) {
    count = std::min({socket.to_client.size(), socket.recv_buffer.size(), recv_bytes_max});
    std::copy_n(socket.to_client.begin(), count, socket.recv_buffer.begin());
    socket.to_client.erase(socket.to_client.begin(),
                           socket.to_client.begin() + static_cast<std::ptrdiff_t>(count));
  }
  done_.push_back({std::exchange(socket.recv, nullptr), static_cast<std::int32_t>(count)});
}

void FakeIo::timer(io::Completion& completion, std::uint64_t deadline_ns) {
  const NotCounted guard;
  completion.begin();
  timers_.emplace(deadline_ns, &completion);
}

void FakeIo::cancel(io::Completion& completion) {
  if (!completion.pending()) return;
  const auto timer =
      std::ranges::find(timers_, &completion, [](const auto& item) { return item.second; });
  const auto dial = std::ranges::find(hanging_dials_, &completion);
  if (timer != timers_.end()) {
    timers_.erase(timer);
  } else if (dial != hanging_dials_.end()) {
    hanging_dials_.erase(dial);
  } else {
    return;
  }
  done_.push_back({&completion, -ECANCELED});
}

// --- sockets -------------------------------------------------------------------------------------

Result<io::Endpoint> FakeIo::resolve(std::string_view address) {
  const auto at = std::ranges::find(addresses_, address);
  if (at == addresses_.end()) return fail(Errc::kInvalidRequest);
  io::Endpoint endpoint;
  endpoint.storage[0] = static_cast<std::byte>(at - addresses_.begin());
  return endpoint;
}

void FakeIo::connect(io::Completion& completion, const io::Endpoint& endpoint) {
  const NotCounted guard;
  completion.begin();
  const int id = next_socket_++;
  FakePeer& peer = *peers_[static_cast<std::size_t>(endpoint.storage[0])];
  switch (peer.on_dial(id)) {
    case FakePeer::Dial::kAccepted:
      sockets_[id].peer = &peer;
      done_.push_back({&completion, id});
      return;
    case FakePeer::Dial::kRefused:
      done_.push_back({&completion, -ECONNREFUSED});
      return;
    case FakePeer::Dial::kNoAnswer:
      hanging_dials_.push_back(&completion);
      return;
  }
}

void FakeIo::recv(io::Completion& completion, io::Handle socket, std::span<std::byte> buffer) {
  completion.begin();
  SLUICE_CHECK(!buffer.empty());
  Socket& s = sockets_.at(static_cast<int>(socket));
  SLUICE_CHECK(!s.recv);
  s.recv = &completion;
  s.recv_buffer = buffer;
}

void FakeIo::send(io::Completion& completion, io::Handle socket, std::span<const iovec> slices) {
  completion.begin();
  SLUICE_CHECK(!slices.empty() && slices.size() <= 1024);
  Socket& s = sockets_.at(static_cast<int>(socket));
  SLUICE_CHECK(!s.send);
  s.send = &completion;
  s.slices = slices;
  ++sends_begun;
}

void FakeIo::shutdown(io::Handle socket) { sockets_.at(static_cast<int>(socket)).shut = true; }

void FakeIo::close(io::Handle handle) {
  const auto at = sockets_.find(static_cast<int>(handle));
  SLUICE_CHECK(at != sockets_.end() && !at->second.recv && !at->second.send);
  sockets_.erase(at);
}

}  // namespace sluice::client
