// peer_rabbitmq: RabbitMQ, a quorum queue of three replicas for each group, persistent messages and
// publisher confirms, one connection with one channel to the node where the queues are led.
//
// Durable: a confirm comes when a majority has the message in its flushed write-ahead log.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/usage.h"
#include "perf/peers/load.h"

namespace sluice::peers {
namespace {

using tools::monotonic_ns;

constexpr amqp_channel_t kChannel = 1;
constexpr int kFrameBytesMax = 131'072;

void check_reply(const amqp_rpc_reply_t& reply, const char* what) {
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
  std::string why = amqp_error_string2(reply.library_error);
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
      reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto* const close = static_cast<amqp_channel_close_t*>(reply.reply.decoded);
    why.assign(static_cast<char*>(close->reply_text.bytes), close->reply_text.len);
  }
  throw std::runtime_error(fmt::format("{}: {}", what, why));
}

amqp_table_entry_t text_entry(const char* key, const char* value) {
  amqp_table_entry_t entry{};
  entry.key = amqp_cstring_bytes(key);
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = amqp_cstring_bytes(value);
  return entry;
}

class Rabbit {
 public:
  Rabbit(const std::string& server, Load& load) : load_(load), slots_(kTagsMax, kNone) {
    const std::size_t colon = server.rfind(':');
    connection_ = amqp_new_connection();
    amqp_socket_t* const socket = amqp_tcp_socket_new(connection_);
    if (colon == std::string::npos ||
        amqp_socket_open(socket, server.substr(0, colon).c_str(),
                         std::stoi(server.substr(colon + 1))) != AMQP_STATUS_OK)
      throw std::runtime_error("cannot connect to " + server);
    check_reply(amqp_login(connection_, "/", 0, kFrameBytesMax, 0, AMQP_SASL_METHOD_PLAIN, "guest",
                           "guest"),
                "login");
    amqp_channel_open(connection_, kChannel);
    check_reply(amqp_get_rpc_reply(connection_), "channel");
    amqp_confirm_select(connection_, kChannel);
    check_reply(amqp_get_rpc_reply(connection_), "confirms");
  }
  ~Rabbit() { amqp_destroy_connection(connection_); }
  Rabbit(const Rabbit&) = delete;
  Rabbit& operator=(const Rabbit&) = delete;

  void declare(const std::string& queue) {
    amqp_table_entry_t type = text_entry("x-queue-type", "quorum");
    const amqp_table_t arguments{1, &type};
    amqp_queue_declare(connection_, kChannel, amqp_cstring_bytes(queue.c_str()), /*passive=*/0,
                       /*durable=*/1, /*exclusive=*/0, /*auto_delete=*/0, arguments);
    check_reply(amqp_get_rpc_reply(connection_), "declaring a queue");
  }
  void remove(const std::string& queue) {
    amqp_queue_delete(connection_, kChannel, amqp_cstring_bytes(queue.c_str()), 0, 0);
    check_reply(amqp_get_rpc_reply(connection_), "deleting a queue");
  }

  void publish(const std::string& queue, const std::string& payload, std::uint32_t slot) {
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    slots_[++published_ % kTagsMax] = slot;
    const int error = amqp_basic_publish(
        connection_, kChannel, amqp_empty_bytes, amqp_cstring_bytes(queue.c_str()), 0, 0,
        &properties, amqp_bytes_t{payload.size(), const_cast<char*>(payload.data())});
    if (error != AMQP_STATUS_OK) throw std::runtime_error(amqp_error_string2(error));
  }

  /// Waits at most `wait_ns` and takes all confirms at hand.
  void turn(std::uint64_t wait_ns) {
    if (!amqp_data_in_buffer(connection_) && !amqp_frames_enqueued(connection_)) {
      pollfd wait{amqp_get_sockfd(connection_), POLLIN, 0};
      const timespec time{static_cast<time_t>(wait_ns / 1'000'000'000),
                          static_cast<long>(wait_ns % 1'000'000'000)};
      if (::ppoll(&wait, 1, &time, nullptr) <= 0) return;
    }
    const std::uint64_t now_ns = monotonic_ns();
    for (;;) {
      amqp_frame_t frame;
      timeval at_once{0, 0};
      const int status = amqp_simple_wait_frame_noblock(connection_, &frame, &at_once);
      if (status == AMQP_STATUS_TIMEOUT) break;
      if (status != AMQP_STATUS_OK) throw std::runtime_error(amqp_error_string2(status));
      on_frame(frame, now_ns);
    }
    amqp_maybe_release_buffers(connection_);
  }

 private:
  /// Far more than may be in flight.
  static constexpr std::uint64_t kTagsMax = 1u << 21;
  static constexpr std::uint32_t kNone = ~0u;

  void on_frame(const amqp_frame_t& frame, std::uint64_t now_ns) {
    if (frame.frame_type != AMQP_FRAME_METHOD) return;
    if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
      throw std::runtime_error(
          fmt::format("not a confirm: {}", amqp_method_name(frame.payload.method.id)));
    const auto* const ack = static_cast<amqp_basic_ack_t*>(frame.payload.method.decoded);
    for (std::uint64_t tag = ack->multiple ? oldest_ : ack->delivery_tag; tag <= ack->delivery_tag;
         ++tag)
      confirm(tag, now_ns);
    while (oldest_ <= published_ && slots_[oldest_ % kTagsMax] == kNone) ++oldest_;
  }
  void confirm(std::uint64_t tag, std::uint64_t now_ns) {
    std::uint32_t& slot = slots_[tag % kTagsMax];
    if (slot == kNone) return;  // alone before
    load_.complete(slot, now_ns);
    slot = kNone;
  }

  Load& load_;
  amqp_connection_state_t connection_ = nullptr;
  std::vector<std::uint32_t> slots_;  // by delivery tag
  std::uint64_t published_ = 0;
  std::uint64_t oldest_ = 1;  // without a confirm
};

nlohmann::ordered_json measure(const LoadOptions& options, const std::string& server) {
  Load load(options);
  load.set_leader(0);  // a queue is led where it was declared
  Rabbit rabbit(server, load);
  std::vector<std::string> queues;
  for (std::uint32_t group = 0; group < options.groups; ++group)
    queues.push_back(fmt::format("q{}-{}", ::getpid(), group));
  for (const std::string& queue : queues) rabbit.declare(queue);
  const std::string payload(options.entry_bytes, 'x');
  load.start();
  for (std::uint64_t now_ns = monotonic_ns(); load.go_on(now_ns); now_ns = monotonic_ns()) {
    while (load.may_begin(now_ns)) {
      const std::string& queue = queues[load.next_group()];
      rabbit.publish(queue, payload, load.begin(now_ns));
    }
    rabbit.turn(load.wait_ns(now_ns));
  }
  for (const std::string& queue : queues) rabbit.remove(queue);
  return load.report();
}

}  // namespace
}  // namespace sluice::peers

int main(int argc, char** argv) {
  CLI::App app("Measures RabbitMQ's quorum queues.");
  sluice::peers::LoadOptions options;
  std::string server;
  sluice::peers::declare(app, options);
  app.add_option("--server", server, "HOST:PORT of the first of --pid")->required();
  return sluice::peers::run_driver(app, argc, argv,
                                   [&] { return sluice::peers::measure(options, server); });
}
