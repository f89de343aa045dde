// peer_etcd: etcd's v3 API, KV.Put over gRPC (https://grpc.io: HTTP/2 requests with a length before
// each message), spoken with nghttp2: a general gRPC client would cost more than what it measures.
//
// Durable: etcd answers when a majority has flushed its write-ahead log.
#include <fmt/format.h>
#include <nghttp2/nghttp2.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/usage.h"
#include "perf/peers/load.h"
#include "perf/peers/socket.h"

namespace sluice::peers {
namespace {

using tools::monotonic_ns;

constexpr std::uint64_t kReadyNs = 60'000'000'000;
constexpr int kWindowBytes = 16 << 20;

// Protocol buffers, as far as they are needed here.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void put_bytes(std::string& out, unsigned field, std::string_view bytes) {
  put_varint(out, field << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}
std::uint64_t take_varint(std::string_view& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; !in.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) break;
  }
  return value;
}
/// A field of a message: a number, or the bytes of a string or message.
struct Field {
  std::uint64_t number = 0;
  std::string_view bytes;
};
std::optional<Field> find_field(std::string_view in, unsigned wanted) {
  while (!in.empty()) {
    const std::uint64_t tag = take_varint(in);
    Field field{take_varint(in), {}};
    if ((tag & 7) == 2) {
      field.bytes = in.substr(0, field.number);
      in.remove_prefix(field.bytes.size());
    } else if ((tag & 7) != 0) {
      return {};
    }
    if (tag >> 3 == wanted) return field;
  }
  return {};
}

/// A gRPC message: not compressed, its length, itself.
std::string framed(const std::string& message) {
  std::string out(5, '\0');
  for (unsigned i = 0; i < 4; ++i) out[4 - i] = static_cast<char>(message.size() >> (8 * i));
  return out + message;
}

/// One connection: requests by tag, answers by tag.
class Connection {
 public:
  explicit Connection(const std::string& address) : address_(address), socket_(address) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
                                               {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
  }
  ~Connection() { nghttp2_session_del(session_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void call(const char* path, std::string message, std::uint32_t tag) {
    const auto header = [](const char* name, const std::string& value) {
      nghttp2_nv pair{};
      pair.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name));
      pair.namelen = std::strlen(name);
      pair.value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
      pair.valuelen = value.size();
      return pair;
    };
    const std::string target = path;
    const nghttp2_nv headers[] = {header(":method", kPost),      header(":scheme", kHttp),
                                  header(":path", target),       header(":authority", address_),
                                  header("content-type", kGrpc), header("te", kTrailers)};
    auto call = std::make_unique<Call>();
    call->tag = tag;
    call->out = framed(message);
    nghttp2_data_provider body{};
    body.source.ptr = call.get();
    body.read_callback = read_body;
    const int stream = nghttp2_submit_request(session_, nullptr, headers, 6, &body, call.get());
    if (stream < 0) throw std::runtime_error(nghttp2_strerror(stream));
    (void)call.release();  // on_close() has it back
  }

  void send() {
    // A bounded amount, or requests would be copied into memory without end.
    while (!socket_.wants_to_write()) {
      const std::uint8_t* bytes = nullptr;
      ssize_t size = 0;
      std::size_t gathered = 0;
      while (gathered < kGatherBytes && (size = nghttp2_session_mem_send(session_, &bytes)) > 0) {
        socket_.put({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
        gathered += static_cast<std::size_t>(size);
      }
      if (size < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(size)));
      if (gathered == 0) return;
      socket_.flush();
    }
    socket_.flush();
  }

  void receive() {
    socket_.fill();
    const std::string_view in = socket_.in();
    const ssize_t size = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const std::uint8_t*>(in.data()), in.size());
    if (!failure_.empty()) throw std::runtime_error(failure_);
    if (size < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(size)));
    socket_.take(static_cast<std::size_t>(size));
  }

  /// What was answered since the last time: tag and message.
  struct Answer {
    std::uint32_t tag;
    std::string message;
  };
  std::vector<Answer>& answers() { return answers_; }
  Socket& socket() { return socket_; }

 private:
  struct Call {
    std::uint32_t tag = 0;
    std::string out;
    std::size_t out_taken = 0;
    std::string in;
    int status = -1;
    std::string error;
  };
  static constexpr std::size_t kGatherBytes = 256u << 10;
  static inline const std::string kPost = "POST", kHttp = "http", kGrpc = "application/grpc",
                                  kTrailers = "trailers";

  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto* const call = static_cast<Call*>(source->ptr);
    const std::size_t taken = std::min(size, call->out.size() - call->out_taken);
    std::memcpy(to, call->out.data() + call->out_taken, taken);
    call->out_taken += taken;
    if (call->out_taken == call->out.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(taken);
  }
  static Call* call_of(nghttp2_session* session, std::int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }
  static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                       const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                       std::size_t value_size, std::uint8_t, void*) {
    Call* const call = call_of(session, frame->hd.stream_id);
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (call == nullptr) return 0;
    if (key == "grpc-status") call->status = text == "0" ? 0 : 1;
    if (key == "grpc-message") call->error = text;
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream,
                     const std::uint8_t* bytes, std::size_t size, void*) {
    if (Call* const call = call_of(session, stream))
      call->in.append(reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int on_close(nghttp2_session* session, std::int32_t stream, std::uint32_t, void* self) {
    const std::unique_ptr<Call> call(call_of(session, stream));
    if (call == nullptr) return 0;
    auto& connection = *static_cast<Connection*>(self);
    if (call->status != 0 || call->in.size() < 5) {
      connection.failure_ = call->error.empty() ? "a call without an answer" : call->error;
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    connection.answers_.push_back({call->tag, call->in.substr(5)});
    return 0;
  }

  std::string address_;
  Socket socket_;
  nghttp2_session* session_ = nullptr;
  std::vector<Answer> answers_;
  std::string failure_;
};

/// etcdserverpb.StatusResponse: header = 1 (member_id = 2), leader = 4. Nothing if there is none
/// yet.
std::optional<bool> leads(const std::string& server) {
  try {
    Connection connection(server);
    connection.call("/etcdserverpb.Maintenance/Status", {}, 0);
    for (int turn = 0; turn < 50 && connection.answers().empty(); ++turn) {
      connection.send();
      wait_for(connection.socket(), 20'000'000);
      connection.receive();
    }
    if (connection.answers().empty()) return {};
    const std::string& answer = connection.answers().front().message;
    const auto header = find_field(answer, 1);
    const auto leader = find_field(answer, 4);
    const auto member = header ? find_field(header->bytes, 2) : std::nullopt;
    if (!member || !leader || leader->number == 0) return {};
    return member->number == leader->number;
  } catch (const std::runtime_error&) {
    return {};  // not up yet
  }
}

/// All members must know a leader.
std::size_t find_leader(const std::vector<std::string>& servers) {
  for (const std::uint64_t give_up_ns = monotonic_ns() + kReadyNs; monotonic_ns() < give_up_ns;) {
    std::optional<std::size_t> leader;
    std::size_t up = 0;
    for (std::size_t i = 0; i < servers.size(); ++i)
      if (const auto answer = leads(servers[i])) {
        ++up;
        if (*answer) leader = i;
      }
    if (leader && up == servers.size()) return *leader;
    ::usleep(100'000);
  }
  throw std::runtime_error("no leader");
}

nlohmann::ordered_json measure(const LoadOptions& options, const std::vector<std::string>& servers,
                               std::uint32_t connection_count) {
  Load load(options);
  const std::size_t leader = find_leader(servers);
  load.set_leader(leader);
  std::vector<std::unique_ptr<Connection>> connections;
  for (std::uint32_t i = 0; i < std::min(connection_count, options.outstanding); ++i)
    connections.push_back(std::make_unique<Connection>(servers[leader]));
  // A key for each entry in flight.
  std::vector<std::string> requests(load.slots());
  const std::string value(options.entry_bytes, 'x');
  for (std::uint32_t slot = 0; slot < load.slots() && slot < 4096; ++slot) {
    put_bytes(requests[slot], 1, fmt::format("k{:07}", slot));
    put_bytes(requests[slot], 2, value);
  }
  load.start();
  for (std::uint64_t now_ns = monotonic_ns(); load.go_on(now_ns); now_ns = monotonic_ns()) {
    while (load.may_begin(now_ns)) {
      const std::uint32_t slot = load.begin(now_ns);
      connections[slot % connections.size()]->call("/etcdserverpb.KV/Put", requests[slot % 4096],
                                                   slot);
    }
    std::vector<const Socket*> sockets;
    for (const auto& connection : connections) {
      connection->send();
      sockets.push_back(&connection->socket());
    }
    wait_for(sockets, load.wait_ns(now_ns));
    for (const auto& connection : connections) {
      connection->receive();
      const std::uint64_t answered_ns = monotonic_ns();
      for (const Connection::Answer& answer : connection->answers())
        load.complete(answer.tag, answered_ns);
      connection->answers().clear();
    }
  }
  return load.report();
}

}  // namespace
}  // namespace sluice::peers

int main(int argc, char** argv) {
  CLI::App app("Measures etcd.");
  sluice::peers::LoadOptions options;
  std::vector<std::string> servers;
  std::uint32_t connections = 4;
  sluice::peers::declare(app, options);
  app.add_option("--server", servers, "HOST:PORT,... in the order of --pid")
      ->required()
      ->delimiter(',');
  app.add_option("--connections", connections)->check(CLI::Range(1, 64));
  return sluice::peers::run_driver(
      app, argc, argv, [&] { return sluice::peers::measure(options, servers, connections); });
}
