"""What ran: containers, logs, records, receipts."""
