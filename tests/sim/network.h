// The network between machines: TCP connections as two streams of bytes, over links that can be slow,
// cut in one direction, or lie.
//
// A stream is ordered and reliable as long as its connection lives, as TCP is: what is sent while the
// link is cut arrives after it is mended, late. It ends by FIN, by RST with whatever was on its way
// lost (so data ends anywhere in a frame), or not at all: the other machine lost power and nobody
// says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "tests/sim/world.h"

namespace sluice::sim {

/// From one machine to another.
struct Link {
  Time latency = 50 * kUs;
  Time jitter = 20 * kUs;
  std::uint32_t cuts = 0;           // how many faults cut it now
  std::uint64_t bytes_per_ms = 0;   // 0: no limit
  std::uint32_t flip = 0;           // per million segments: one bit arrives wrong
  std::uint32_t short_transfer = 0;  // per million sends and receives: fewer bytes than possible
};

/// One end of a connection.
struct Socket {
  std::uint64_t number = 0;
  std::size_t machine = 0, to_machine = 0;
  std::weak_ptr<Socket> other;

  // What arrived here.
  std::vector<std::byte> received;
  std::size_t received_begin = 0;  // what is before was read
  bool fin_received = false;
  bool reset = false;       // ECONNRESET from now on
  bool closed = false;      // by its own side: nobody reads or writes here any more
  bool power_lost = false;  // with its machine: nothing answers here, not even RST

  // On its way from here to the other side.
  struct Segment {
    Time at = 0;
    std::vector<std::byte> bytes;
    bool fin = false;
    bool rst = false;
  };
  std::deque<Segment> flight;
  std::size_t flight_bytes = 0;
  bool delivery_scheduled = false;
  bool fin_sent = false;
  Time last_arrival = 0;

  // Whom to tell, once, when something can be read (bytes, FIN, RST) or written here.
  std::function<void()> on_readable, on_writable;

  [[nodiscard]] std::size_t unread_bytes() const { return received.size() - received_begin; }
  [[nodiscard]] bool readable() const { return unread_bytes() > 0 || fin_received || reset; }
};
using SocketRef = std::shared_ptr<Socket>;

class Network {
 public:
  /// Bytes that one direction of a connection holds: on the way and not read yet.
  static constexpr std::size_t kWindowBytes = 256u << 10;

  Network(World& world, std::size_t machines);

  [[nodiscard]] Link& link(std::size_t from, std::size_t to) {
    return links_[from * machines_ + to];
  }
  void cut(std::size_t from, std::size_t to);
  void mend(std::size_t from, std::size_t to);
  [[nodiscard]] bool is_cut(std::size_t from, std::size_t to) {
    return from != to && link(from, to).cuts > 0;
  }

  // --- listening and connecting ---------------------------------------------------------------

  /// False: the port is taken.
  [[nodiscard]] bool listen(std::size_t machine, std::uint16_t port);
  /// Connections that nobody took are reset.
  void stop_listening(std::size_t machine, std::uint16_t port);
  /// `on_ready` runs once, when a connection is there; an empty function takes the wish back.
  void wait_for_connection(std::size_t machine, std::uint16_t port, std::function<void()> on_ready);
  /// The next connection that was made, or nothing.
  [[nodiscard]] SocketRef take_connection(std::size_t machine, std::uint16_t port);
  /// Tries to connect; done(socket or nullptr, errno) runs later, unless alive() says no by then.
  struct Connecting {
    std::function<bool()> alive;
    std::function<void(SocketRef, int)> done;
  };
  void connect(std::size_t from, std::size_t to, std::uint16_t port, Connecting who);

  // --- bytes ----------------------------------------------------------------------------------

  /// How many bytes send() would take now.
  [[nodiscard]] std::size_t room(const Socket& socket) const;
  void send(const SocketRef& socket, std::vector<std::byte> bytes);
  /// Takes up to buffer.size() bytes that arrived.
  std::size_t receive(const SocketRef& socket, std::span<std::byte> buffer);
  /// FIN to the other side, or RST if something is unread here.
  void close(const SocketRef& socket);
  /// Both directions end; the socket stays until it is closed.
  void shutdown(const SocketRef& socket);
  /// The connection breaks: both sides hear RST, or only this one, and the other hears nothing.
  void reset(const SocketRef& socket, bool both);

  // --- machines -------------------------------------------------------------------------------

  /// Power is lost: nothing is said to anybody, and the ports are free.
  void power_off(std::size_t machine);
  void power_on(std::size_t machine);
  [[nodiscard]] bool has_power(std::size_t machine) const { return powered_[machine]; }

  /// Connections that live, in the order in which they were made; both ends of each.
  [[nodiscard]] std::vector<SocketRef> sockets() const;

  std::uint64_t flips = 0;  // segments in which a bit was turned on the way

 private:
  struct Listener {
    std::deque<SocketRef> queue;
    std::function<void()> on_ready;
  };
  void try_connect(std::size_t from, std::size_t to, std::uint16_t port, unsigned attempt,
                   Connecting who);
  void finish_connect(std::size_t from, std::size_t to, std::uint16_t port, unsigned attempt,
                      Connecting who);
  [[nodiscard]] SocketRef make_pair(std::size_t from, std::size_t to);
  [[nodiscard]] Time delay(std::size_t from, std::size_t to);
  void push(const SocketRef& socket, Socket::Segment segment);
  void schedule(const SocketRef& socket);
  void deliver(const SocketRef& socket);
  void arrive(const SocketRef& from, const SocketRef& to, Socket::Segment segment);
  void drop(Socket& socket);
  void refuse(const SocketRef& from);
  void kick();
  void forget(const SocketRef& socket);

  World& world_;
  std::size_t machines_;
  Random random_;
  std::vector<Link> links_;
  std::vector<bool> powered_;
  std::map<std::pair<std::size_t, std::uint16_t>, Listener> listeners_;
  std::map<std::uint64_t, SocketRef> sockets_;  // all that still matter, by number
  std::uint64_t next_number_ = 1;
};

}  // namespace sluice::sim
