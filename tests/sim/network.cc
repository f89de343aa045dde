#include "tests/sim/network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::sim {
namespace {

constexpr unsigned kConnectAttemptsMax = 6;
constexpr Time kConnectRetry = 1 * kSecond;

void tell(std::function<void()>& whom) {
  if (auto f = std::exchange(whom, nullptr)) f();
}

}  // namespace

Network::Network(World& world, std::size_t machines)
    : world_(world),
      machines_(machines),
      random_(world.random_for("network")),
      links_(machines * machines),
      powered_(machines, true) {
  for (std::size_t i = 0; i < machines; ++i) {
    link(i, i).latency = 5 * kUs;
    link(i, i).jitter = 2 * kUs;
  }
}

void Network::cut(std::size_t from, std::size_t to) { ++link(from, to).cuts; }

void Network::mend(std::size_t from, std::size_t to) {
  SLUICE_CHECK(link(from, to).cuts > 0);
  if (--link(from, to).cuts == 0) kick();
}

/// What waited for a link or a machine goes on, each stream after a retransmission time of its own.
void Network::kick() {
  for (const auto& [number, socket] : sockets_) {
    if (socket->flight.empty() || socket->delivery_scheduled) continue;
    socket->flight.front().at =
        std::max(socket->flight.front().at, world_.now() + random_.between(kMs, 200 * kMs));
    schedule(socket);
  }
}

Time Network::delay(std::size_t from, std::size_t to) {
  const Link& way = link(from, to);
  return way.latency + (way.jitter > 0 ? random_.below(way.jitter) : 0);
}

// --- listening and connecting ----------------------------------------------------------------

bool Network::listen(std::size_t machine, std::uint16_t port) {
  return listeners_.try_emplace({machine, port}).second;
}

void Network::stop_listening(std::size_t machine, std::uint16_t port) {
  const auto found = listeners_.find({machine, port});
  if (found == listeners_.end()) return;
  auto queue = std::move(found->second.queue);
  listeners_.erase(found);
  for (const auto& socket : queue) {
    socket->received_begin = 0;
    socket->received.resize(1);  // unread: a reset, as the kernel answers for what nobody accepted
    close(socket);
  }
}

void Network::wait_for_connection(std::size_t machine, std::uint16_t port,
                                  std::function<void()> on_ready) {
  const auto found = listeners_.find({machine, port});
  if (found == listeners_.end()) return;
  found->second.on_ready = std::move(on_ready);
  if (found->second.on_ready && !found->second.queue.empty()) tell(found->second.on_ready);
}

SocketRef Network::take_connection(std::size_t machine, std::uint16_t port) {
  auto& queue = listeners_.at({machine, port}).queue;
  if (queue.empty()) return nullptr;
  auto socket = std::move(queue.front());
  queue.pop_front();
  return socket;
}

void Network::connect(std::size_t from, std::size_t to, std::uint16_t port, Connecting who) {
  try_connect(from, to, port, 1, std::move(who));
}

void Network::try_connect(std::size_t from, std::size_t to, std::uint16_t port, unsigned attempt,
                          Connecting who) {
  world_.after(delay(from, to), [this, from, to, port, attempt, who = std::move(who)]() mutable {
    finish_connect(from, to, port, attempt, std::move(who));
  });
}

void Network::finish_connect(std::size_t from, std::size_t to, std::uint16_t port, unsigned attempt,
                             Connecting who) {
  if (!who.alive()) return;
  if (is_cut(from, to) || is_cut(to, from) || !powered_[to]) {
    // The SYN or its answer is lost; it is sent again.
    if (attempt == kConnectAttemptsMax) return who.done(nullptr, ETIMEDOUT);
    world_.after(kConnectRetry, [this, from, to, port, attempt, who = std::move(who)]() mutable {
      if (who.alive()) try_connect(from, to, port, attempt + 1, std::move(who));
    });
    return;
  }
  const Time back = delay(to, from);
  const auto listener = listeners_.find({to, port});
  if (listener == listeners_.end()) {
    world_.after(back, [who = std::move(who)] {
      if (who.alive()) who.done(nullptr, ECONNREFUSED);
    });
    return;
  }
  SocketRef socket = make_pair(from, to);
  listener->second.queue.push_back(socket->other.lock());
  tell(listener->second.on_ready);
  world_.after(back, [this, socket, who = std::move(who)] {
    if (who.alive()) {
      who.done(socket, 0);
    } else {
      close(socket);
    }
  });
}

SocketRef Network::make_pair(std::size_t from, std::size_t to) {
  auto a = std::make_shared<Socket>();
  auto b = std::make_shared<Socket>();
  a->number = next_number_++;
  b->number = next_number_++;
  a->machine = b->to_machine = from;
  b->machine = a->to_machine = to;
  a->other = b;
  b->other = a;
  sockets_[a->number] = a;
  sockets_[b->number] = b;
  return a;
}

// --- bytes -----------------------------------------------------------------------------------

std::size_t Network::room(const Socket& socket) const {
  const auto other = socket.other.lock();
  const std::size_t unread = other ? other->unread_bytes() : 0;
  const std::size_t used = socket.flight_bytes + unread;
  return used >= kWindowBytes ? 0 : kWindowBytes - used;
}

void Network::push(const SocketRef& socket, Socket::Segment segment) {
  const Link& way = link(socket->machine, socket->to_machine);
  Time at = world_.now() + delay(socket->machine, socket->to_machine);
  if (way.bytes_per_ms > 0) {
    const Time begin = std::max(world_.now(), socket->last_arrival);
    at = std::max(at, begin + segment.bytes.size() * kMs / way.bytes_per_ms);
  }
  segment.at = std::max(at, socket->last_arrival);
  socket->last_arrival = segment.at;
  socket->flight_bytes += segment.bytes.size();
  socket->flight.push_back(std::move(segment));
  schedule(socket);
}

void Network::send(const SocketRef& socket, std::vector<std::byte> bytes) {
  Socket::Segment segment;
  segment.bytes = std::move(bytes);
  push(socket, std::move(segment));
}

void Network::schedule(const SocketRef& socket) {
  if (socket->delivery_scheduled || socket->flight.empty()) return;
  socket->delivery_scheduled = true;
  world_.at(socket->flight.front().at, [this, socket] { deliver(socket); });
}

void Network::deliver(const SocketRef& socket) {
  socket->delivery_scheduled = false;
  if (socket->flight.empty()) return;
  // Nothing is lost by a cut: it is sent again until the way is free (kick()).
  if (is_cut(socket->machine, socket->to_machine)) return;
  if (!powered_[socket->machine] || !powered_[socket->to_machine]) return;
  Socket::Segment segment = std::move(socket->flight.front());
  socket->flight.pop_front();
  socket->flight_bytes -= segment.bytes.size();
  if (const auto other = socket->other.lock()) {
    arrive(socket, other, std::move(segment));
  } else {
    refuse(socket);
  }
  schedule(socket);
  forget(socket);
}

void Network::arrive(const SocketRef& from, const SocketRef& to, Socket::Segment segment) {
  if (segment.rst) {
    to->reset = true;
    if (random_.coin()) to->received_begin = to->received.size();  // what was unread is lost
    to->flight.clear();
    to->flight_bytes = 0;
    tell(to->on_readable);
    tell(to->on_writable);
    forget(to);
    return;
  }
  if (to->closed || to->power_lost) {
    refuse(from);
    return;
  }
  if (to->reset) return;
  if (segment.fin) {
    to->fin_received = true;
  } else {
    if (random_.chance(link(from->machine, to->machine).flip)) {
      segment.bytes[random_.below(segment.bytes.size())] ^= std::byte{1} << random_.below(8);
      ++flips;
    }
    if (to->received_begin == to->received.size()) {
      to->received = std::move(segment.bytes);
      to->received_begin = 0;
    } else {
      to->received.insert(to->received.end(), segment.bytes.begin(), segment.bytes.end());
    }
  }
  tell(to->on_readable);
}

std::size_t Network::receive(const SocketRef& socket, std::span<std::byte> buffer) {
  std::size_t size = std::min(buffer.size(), socket->unread_bytes());
  if (size > 1 && random_.chance(link(socket->to_machine, socket->machine).short_transfer)) {
    size = random_.between(1, size);
  }
  if (size > 0) {
    std::memcpy(buffer.data(), socket->received.data() + socket->received_begin, size);
    socket->received_begin += size;
  }
  if (const auto other = socket->other.lock(); other && size > 0) tell(other->on_writable);
  return size;
}

void Network::close(const SocketRef& socket) {
  SLUICE_CHECK(!socket->closed);
  socket->closed = true;
  socket->on_readable = socket->on_writable = nullptr;
  if (!socket->reset && !socket->power_lost) {
    Socket::Segment last;
    last.rst = socket->unread_bytes() > 0;
    last.fin = !last.rst;
    if (last.rst || !socket->fin_sent) push(socket, std::move(last));
  }
  forget(socket);
}

void Network::shutdown(const SocketRef& socket) {
  if (!socket->fin_sent && !socket->reset) {
    socket->fin_sent = true;
    Socket::Segment fin;
    fin.fin = true;
    push(socket, std::move(fin));
  }
  socket->fin_received = true;
  tell(socket->on_readable);
  tell(socket->on_writable);
}

void Network::drop(Socket& socket) {
  socket.reset = true;
  socket.flight.clear();
  socket.flight_bytes = 0;
  tell(socket.on_readable);
  tell(socket.on_writable);
}

void Network::reset(const SocketRef& socket, bool both) {
  drop(*socket);
  const auto other = socket->other.lock();
  if (both && other) drop(*other);
  // One side alone: the other sends into the void until it is told (arrive() on a closed end), or
  // for ever: what it sends is dropped by `reset` there.
}

void Network::forget(const SocketRef& socket) {
  if ((socket->closed || socket->power_lost) && socket->flight.empty()) {
    sockets_.erase(socket->number);
  }
}

/// Something arrived where nobody is any more: the kernel there answers with RST.
void Network::refuse(const SocketRef& from) {
  if (from->closed || from->reset) return;
  world_.after(delay(from->to_machine, from->machine), [this, from] {
    // A lost answer comes again with the next bytes.
    if (is_cut(from->to_machine, from->machine) || !powered_[from->to_machine]) return;
    if (!from->closed && !from->power_lost) drop(*from);
  });
}

// --- machines --------------------------------------------------------------------------------

void Network::power_off(std::size_t machine) {
  powered_[machine] = false;
  std::erase_if(listeners_, [&](const auto& l) { return l.first.first == machine; });
  std::vector<SocketRef> gone;
  for (const auto& [number, socket] : sockets_) {
    if (socket->machine == machine) gone.push_back(socket);
  }
  for (const auto& socket : gone) {
    socket->power_lost = true;
    socket->on_readable = socket->on_writable = nullptr;
    socket->flight.clear();
    socket->flight_bytes = 0;
    socket->received.clear();
    socket->received_begin = 0;
    forget(socket);
  }
}

void Network::power_on(std::size_t machine) {
  powered_[machine] = true;
  kick();
}

std::vector<SocketRef> Network::sockets() const {
  std::vector<SocketRef> result;
  for (const auto& [number, socket] : sockets_) {
    const auto other = socket->other.lock();
    const bool dead = socket->closed || socket->power_lost || socket->reset;
    const bool other_dead = !other || other->closed || other->power_lost;
    if (!dead && !other_dead) result.push_back(socket);
  }
  return result;
}

}  // namespace sluice::sim
