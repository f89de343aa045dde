// What a LocalClient needs of the node that it belongs to.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "engine/local_client.h"
#include "engine/shard/local_port.h"
#include "engine/shard/mailbox.h"
#include "wire/ids.h"

namespace sluice {

struct LocalNode {
  ClusterId cluster;
  std::uint32_t groups = 0;
  std::uint32_t shards = 0;
  std::uint32_t batch_bytes_max = 0;
};

class LocalHost {
 public:
  virtual ~LocalHost() = default;
  [[nodiscard]] virtual LocalNode local_node() const = 0;
  /// Puts the shard's mailbox into `mailbox` before the shard hears of the port: its first call may
  /// come before this returns. False: the shard has ended, the port stays untouched, `mailbox` is
  /// nullptr.
  [[nodiscard]] virtual bool attach(ShardId shard, shard::LocalPort& port,
                                    std::shared_ptr<shard::Mailbox>& mailbox) = 0;
  virtual void on_client_gone() = 0;
};

/// `host` and `events` outlive the client.
/// Errors  one line that says which option to change, or that descriptors are short.
[[nodiscard]] std::expected<std::unique_ptr<LocalClient>, std::string> make_local_client(
    const LocalOptions& options, LocalHost& host, LocalEvents& events);

}  // namespace sluice
