#include "tools/status_board.h"

namespace sluice::tools {

void StatusBoard::ask(client::Client& client, std::size_t count, std::uint32_t timeout_ms) {
  nodes_.assign(count, {});
  missing_ = count;
  for (std::size_t i = 0; i < count; ++i) client.status_at(i, i, timeout_ms);
}

void StatusBoard::on_status(std::uint64_t tag, const client::NodeStatus& status) {
  nodes_.at(tag) = status;
  --missing_;
}

const std::vector<client::NodeStatus>& StatusBoard::collect(ClientLoop& loop, std::size_t count,
                                                            std::uint32_t timeout_ms) {
  ask(loop.client(), count, timeout_ms);
  while (!complete()) loop.turn();
  return nodes_;
}

}  // namespace sluice::tools
